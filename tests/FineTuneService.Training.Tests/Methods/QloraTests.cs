using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Data;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Models.Layers;
using FineTuneService.Training.Optimization;
using FineTuneService.Training.Tasks;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Methods;

[Collection(GlobalGenerator.Name)]
public sealed class QloraTests : IDisposable
{
    private static readonly string Llama = Path.Combine(AppContext.BaseDirectory, "Fixtures", "models", "llama-clm");
    private static readonly QloraConfig Config = new() { R = 4, TargetModules = new("all-linear"), LoraDropout = 0.1 };

    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly string _folder = Directory.CreateTempSubdirectory("finetune-qlora-").FullName;

    public void Dispose()
    {
        _scope.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void The_layers_of_the_base_are_packed_and_its_embeddings_and_head_are_not()
    {
        using var run = new Run(Config);
        using var plain = PretrainedConfig.Read(Llama).Create(ModelHead.CausalLm);
        Assert.Equal(plain.ParameterCount + run.Adapter.Tensors.Sum(entry => entry.Tensor.numel()), run.Model.ParameterCount);
        var names = run.Model.named_parameters().Select(entry => entry.name).Where(name => !name.Contains("lora_", StringComparison.Ordinal)).ToArray();
        Assert.Contains("model.embed_tokens.weight", names);
        Assert.Contains("lm_head.weight", names);
        Assert.DoesNotContain(names, name => name.EndsWith("_proj.weight", StringComparison.Ordinal));
        Assert.Equal(14, run.Model.modules().OfType<Nf4Matrix>().Count()); // 7 in each of 2 layers
    }

    [Fact]
    public void Modules_can_be_spared()
    {
        using var run = new Run(Config with { SkipModules = ["o_proj", "mlp"] });
        Assert.Equal(6, run.Model.modules().OfType<Nf4Matrix>().Count());
    }

    [Theory]
    [InlineData(ComputeType.Float32, false)]
    [InlineData(ComputeType.Bfloat16, false)]
    [InlineData(ComputeType.Float32, true)]
    public void It_learns_and_resumes_bit_for_bit(ComputeType type, bool dora)
    {
        var config = Config with { ComputeDtype = type, UseDora = dora };
        using var whole = new Run(config);
        var losses = whole.Train(0, 12);
        Assert.True(losses[^1] < losses[0] - 0.1, $"from {losses[0]} to {losses[^1]}");

        using (var first = new Run(config))
        {
            first.Train(0, 5);
            first.Adapter.Save(_folder);
            SafetensorsWriter.Write(Path.Combine(_folder, "optimizer.safetensors"), first.Optimizer.State);
        }
        using var second = new Run(config);
        second.Adapter.Load(_folder);
        using (var saved = SafetensorsReader.Open(Path.Combine(_folder, "optimizer.safetensors")))
            second.Optimizer.LoadState(saved.Read);
        Assert.Equal(losses[5..], second.Train(5, 12));
        Assert.All(whole.Adapter.Tensors.Zip(second.Adapter.Tensors), pair => Assert.True(pair.First.Tensor.Equals(pair.Second.Tensor), pair.First.Key));
    }

    [Fact]
    public void Its_matrices_are_multiplied_in_what_the_model_computes_in_unless_told_otherwise()
    {
        using Run usual = new(Config, ScalarType.BFloat16), same = new(Config with { ComputeDtype = ComputeType.Bfloat16 }, ScalarType.BFloat16), other = new(Config with { ComputeDtype = ComputeType.Float32 }, ScalarType.BFloat16);
        var losses = usual.Train(0, 3);
        Assert.Equal(losses, same.Train(0, 3));
        Assert.NotEqual(losses, other.Train(0, 3));
    }

    [Fact]
    public void Its_adapter_goes_with_the_unquantised_base()
    {
        using var run = new Run(Config with { LoraDropout = 0 });
        run.Train(0, 12);
        run.Adapter.Save(_folder);
        using var _ = no_grad();
        run.Model.eval();
        using var merged = FineTunedFolder.Open(_folder, Llama).Load(ModelHead.CausalLm);
        merged.eval();
        using var untrained = PretrainedConfig.Read(Llama).Create(ModelHead.CausalLm);
        PretrainedFolder.LoadWeights(Llama, untrained, seed: 0);
        untrained.eval();
        var batch = Run.Batch;
        var (here, there, before) = (Loss(run.Model), Loss(merged), Loss(untrained));
        Assert.Equal(here, there, 0.1); // what rounding to four bits costs this model
        Assert.True(there < before - 0.1, $"{before} before, {there} after");

        double Loss(PretrainedModel model) => LanguageModelLoss.CausalSum(model.call(batch.Inputs), batch.Labels).ToDouble() / batch.Targets;
    }

    [Fact]
    public void A_base_that_bitsandbytes_has_quantised_is_taken_as_it_is()
    {
        using var run = new Run(Config);
        using var plain = SafetensorsReader.Open(Llama);
        var packed = run.Model.named_modules().Where(module => module.module is AdaptableLayer { Quantized: not null }).ToDictionary(module => module.name + ".weight", module => ((AdaptableLayer)module.module).Quantized!);
        SafetensorsWriter.Write(
            Path.Combine(_folder, "model.safetensors"),
            plain.Entries.Keys.SelectMany(key => packed.TryGetValue(key, out var matrix) ? Nf4File.Tensors(key, matrix) : [(key, plain.Read(key))]));
        File.Copy(Path.Combine(Llama, "config.json"), Path.Combine(_folder, "config.json"));

        using var again = new Run(Config, _folder);
        Assert.Equal(run.Train(0, 3), again.Train(0, 3));
        using var unpacked = PretrainedConfig.Read(_folder).Create(ModelHead.CausalLm);
        Assert.Empty(PretrainedFolder.LoadWeights(_folder, unpacked, seed: 0).UnusedKeys);
        Assert.True(unpacked.state_dict()["model.layers.1.mlp.up_proj.weight"].Equals(packed["model.layers.1.mlp.up_proj.weight"].Dequantize()));
    }

    private sealed class Run : IDisposable
    {
        public static readonly Batch Batch = MakeBatch();

        public Run(QloraConfig config, ScalarType type) : this(config, null, type) { }

        public Run(QloraConfig config, string? folder = null, ScalarType type = ScalarType.Float32)
        {
            Model = PretrainedConfig.Read(folder ?? Llama).Create(ModelHead.CausalLm);
            Adapter = (LoraAdapter)config.Prepare(Model, ModelHead.CausalLm, folder ?? Llama, seed: 1);
            Model.ComputeIn(type);
            Optimizer = new(Model, weightDecay: 0.01);
        }

        public PretrainedModel Model { get; }

        public LoraAdapter Adapter { get; }

        public AdamW Optimizer { get; }

        public double[] Train(int from, int to)
        {
            Model.train();
            var step = new TrainingStep(Model, (model, batch) => new(LanguageModelLoss.CausalSum(model.call(batch.Inputs), batch.Labels)), Optimizer, maxGradNorm: 1);
            return [.. Enumerable.Range(from, to - from).Select(number =>
            {
                using var scope = NewDisposeScope();
                manual_seed(number);
                return step.Run([Batch], 1e-2)[TrainingStep.Loss].ToDouble();
            })];
        }

        public void Dispose()
        {
            Optimizer.Dispose();
            Model.Dispose();
        }

        private static Batch MakeBatch()
        {
            using var generator = new Generator(5);
            var ids = randint(5, 60, [4, 12], dtype: ScalarType.Int64, generator: generator).DetachFromDisposeScope();
            return new(new ModelInputs(ids), ids, 4, 48, 44);
        }
    }
}
