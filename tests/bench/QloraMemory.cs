using System.Diagnostics;
using System.Globalization;
using FineTuneService.Training.Data;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Models.Layers;
using FineTuneService.Training.Native;
using FineTuneService.Training.Optimization;
using FineTuneService.Training.Tasks;
using static TorchSharp.torch;

namespace FineTuneService.Bench;

/// <summary>
/// Bytes that QLoRA needs for Llama of 7 billion weights, or for some of its layers: random weights, packed one by one as when a model is loaded;
/// computed in bf16, with gradient checkpointing.
/// </summary>
internal static class QloraMemory
{
    private const int AllLayers = 32, Tokens = 512;

    public static void Run(int layers, int steps)
    {
        var config = new LlamaConfig
        {
            ModelType = "llama",
            VocabSize = 32_000,
            HiddenSize = 4096,
            IntermediateSize = 11_008,
            NumHiddenLayers = layers,
            NumAttentionHeads = 32,
            MaxPositionEmbeddings = 4096,
        };
        var clock = Stopwatch.StartNew();
        using var model = config.Create(ModelHead.CausalLm); // Memory that nobody has written to costs nothing yet.
        foreach (var (name, module) in model.named_modules())
            if (module is AdaptableLayer { CanQuantize: true } layer && name.StartsWith(model.BaseModelPrefix, StringComparison.Ordinal))
            {
                using var scope = NewDisposeScope();
                layer.Quantize(Nf4Matrix.Quantize(randn(layer.OutFeatures, layer.InFeatures) * config.InitializerRange, doubleQuant: true), ScalarType.BFloat16);
            }
        using (var generator = new Generator(1))
            model.InitializeWeights(model.named_parameters().Select(entry => entry.name).ToHashSet(), generator);
        var adapter = LoraAdapter.Attach(model, new() { R = 16, TargetModules = new(["q_proj", "v_proj"]) }, ModelHead.CausalLm, "random", [], seed: 1);
        model.ComputeIn(ScalarType.BFloat16);
        model.EnableGradientCheckpointing();
        HostMemory.GiveBack();
        using var optimizer = new AdamW(model, weightDecay: 0);

        var packed = model.modules().OfType<Nf4Matrix>().ToList();
        var adapters = Bytes(adapter.Tensors.Select(entry => entry.Tensor)); // fp32; a copy of half that size is computed with
        var floating = Bytes(model.parameters()) - adapters / 2;
        long state = Bytes(optimizer.State.Select(entry => entry.Tensor)), gradients = adapters;
        Print($"Llama 7B, {layers} of {AllLayers} layers, {model.ParameterCount / 1e9:F2} billion weights, NF4 with double quantisation, LoRA r=16 on q and v ({clock.Elapsed.TotalSeconds:F0} s to build)");
        Print($"  packed {Mega(packed.Sum(matrix => matrix.Bytes))} ({8.0 * packed.Sum(matrix => matrix.Bytes) / packed.Sum(matrix => matrix.Count):F3} bits a weight), embeddings, head and norms {Mega(floating)}, adapters {Mega(adapters * 3 / 2)}, gradients {Mega(gradients)}, optimizer {Mega(state)}: {Mega(packed.Sum(matrix => matrix.Bytes) + floating + adapters * 3 / 2 + gradients + state)} in all");
        Print($"  resident {Status("RssAnon")}, at the peak {Status("VmHWM")}");
        if (steps > 0)
            Step(model, optimizer, steps);
    }

    private static void Step(PretrainedModel model, AdamW optimizer, int steps)
    {
        using var ids = randint(1, 32_000, [1, Tokens], dtype: ScalarType.Int64);
        var batch = new Batch(new ModelInputs(ids), ids, 1, Tokens, Tokens - 1);
        var step = new TrainingStep(model, (net, rows) => NextTokens.Of((CausalLanguageModel)net, rows).Sum(null), optimizer, maxGradNorm: 1);
        model.train();
        var clock = new Stopwatch();
        for (var number = -1; number < steps; number++)
        {
            using var scope = NewDisposeScope();
            if (number == 0)
                clock.Start();
            step.Run([batch], 1e-4);
        }
        Print($"  step of 1 x {Tokens} tokens {clock.Elapsed.TotalSeconds / steps:F2} s, {get_num_threads()} threads; at the peak {Status("VmHWM")}");
    }

    private static long Bytes(IEnumerable<Tensor> tensors) => tensors.Sum(tensor => tensor.numel() * tensor.element_size());

    private static string Mega(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e6:F0} MB");

    private static string Status(string field) => File.ReadLines("/proc/self/status").First(line => line.StartsWith(field, StringComparison.Ordinal)).Split(':')[1].Trim();

    private static void Print(FormattableString text) => Console.WriteLine(text.ToString(CultureInfo.InvariantCulture));
}
