using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Optimization;
using FineTuneService.Training.Tests.Data;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Optimization;

public sealed class OptimizerTests : IDisposable
{
    private static readonly JsonArray Golden = Goldens.Read()["optimizers"]!.AsArray();

    private readonly DisposeScope _scope = NewDisposeScope();

    public static TheoryData<int> Trajectories => [.. Enumerable.Range(0, Golden.Count)];

    public void Dispose() => _scope.Dispose();

    [Theory]
    [MemberData(nameof(Trajectories))]
    public void Every_optimizer_goes_as_its_reference(int index)
    {
        var golden = Golden[index]!;
        var rate = golden["lr"]!.GetValue<double>();
        using var model = new TwoWeights(6, 4);
        using var optimizer = Optimizer.Create(model, Arguments(golden["name"]!.GetValue<string>()) with { WeightDecay = golden["weight_decay"]!.GetValue<double>() });

        foreach (var (step, norm, weights) in golden["norms"].Numbers().Zip(golden["weights"]!.AsArray()).Select((pair, done) => (done + 1, pair.First, pair.Second.Numbers())))
        {
            model.SetGradients(step);
            Assert.Equal(norm, optimizer.Step(rate / step, maxGradNorm: 0.25).ToDouble(), 1e-6);
            Assert.All(weights.Zip(model.Weights()), pair => Assert.Equal(pair.First, pair.Second, 1e-6));
        }
    }

    [Theory]
    [InlineData("adamw_torch")]
    [InlineData("sgd momentum=0.9,dampening=0.1")]
    [InlineData("adafactor")]
    [InlineData("adamw_8bit")]
    public void Its_state_is_all_that_it_remembers(string name)
    {
        using TwoWeights whole = new(64, 80), broken = new(64, 80);
        using var first = Optimizer.Create(whole, Arguments(name));
        Train(whole, first, 1, 6);

        Dictionary<string, Tensor> saved;
        using (var before = Optimizer.Create(broken, Arguments(name)))
        {
            Train(broken, before, 1, 3);
            saved = before.State.ToDictionary(entry => entry.Name, entry => entry.Tensor.clone());
        }
        using var after = Optimizer.Create(broken, Arguments(name));
        after.LoadState(key => saved[key]);
        Train(broken, after, 4, 6);

        Assert.Equal(whole.Weights(), broken.Weights());
        Assert.All(first.State.Zip(after.State), pair => Assert.Equal(pair.First, pair.Second));
    }

    [Theory]
    [InlineData("sgd momentum=0.9")]
    [InlineData("adafactor")]
    [InlineData("adamw_8bit")]
    public void Updates_too_small_for_bf16_add_up_in_every_optimizer(string name)
    {
        using var model = new TwoWeights(64, 80);
        using (no_grad())
            model.matrix.fill_(1);
        model.ComputeIn(ScalarType.BFloat16);
        using var optimizer = Optimizer.Create(model, Arguments(name));
        for (var step = 0; step < 20; step++)
        {
            model.matrix.grad = ones_like(model.matrix);
            optimizer.Collect();
            optimizer.Step(learningRate: 1e-4, maxGradNorm: 0);
        }
        var exact = model.ExactState().Single(entry => entry.Key == "matrix").Tensor;
        Assert.InRange(exact[0, 0].ToDouble(), 0.97, 1 - 15e-4); // each step moves it by 1e-4 or more; the next bf16 numbers below 1 are 1/256 apart
        Assert.Equal(exact.to(ScalarType.BFloat16), model.matrix);
    }

    [Fact]
    public void Eight_bits_of_state_change_little()
    {
        using TwoWeights exact = new(64, 80), coded = new(64, 80);
        using Optimizer reference = new AdamW(exact, 0.01), optimizer = Optimizer.Create(coded, Arguments("paged_adamw_8bit") with { WeightDecay = 0.01 });
        Train(exact, reference, 1, 30);
        Train(coded, optimizer, 1, 30);

        var start = cat([Goldens.Start(0, 64, 80).flatten(), Goldens.Start(0.5, 5)]).to(ScalarType.Float64).data<double>().ToArray();
        var moved = exact.Weights().Zip(start, (after, before) => Math.Abs(after - before)).Average();
        var apart = exact.Weights().Zip(coded.Weights(), (one, other) => Math.Abs(one - other)).Average();
        Assert.InRange(apart / moved, 1e-6, 0.05);

        var state = optimizer.State.ToDictionary(entry => entry.Name, entry => entry.Tensor);
        Assert.Equal((ScalarType.Byte, 5120), (state["exp_avg_codes.matrix"].dtype, state["exp_avg_codes.matrix"].numel()));
        Assert.Equal(20, state["exp_avg_sq_absmax.matrix"].numel());
        Assert.Equal(ScalarType.Float32, state["exp_avg.vector"].dtype);
        Assert.Equal(exact.Weights()[^5..], coded.Weights()[^5..]); // small parameters are exact
    }

    [Fact]
    public void Tables_of_embeddings_keep_their_state_in_fp32()
    {
        using var model = Llama();
        using var optimizer = Optimizer.Create(model, Arguments("adamw_8bit"));
        Assert.Contains("exp_avg.model.embed_tokens.weight", optimizer.State.Select(entry => entry.Name));
    }

    [Fact]
    public void The_rate_falls_layer_by_layer()
    {
        using var model = Llama();
        using var optimizer = Optimizer.Create(model, Arguments("sgd") with { LayerwiseLrDecay = 0.5 });
        var before = model.named_parameters().ToDictionary(entry => entry.name, entry => entry.parameter.detach().clone());
        foreach (var parameter in model.parameters())
            parameter.grad = ones_like(parameter);
        optimizer.Step(learningRate: 1, maxGradNorm: 0);

        var moved = model.named_parameters().ToDictionary(entry => entry.name, entry => (before[entry.name] - entry.parameter).mean().ToDouble());
        Assert.Equal(1, moved["model.norm.weight"], 1e-5);
        Assert.Equal(0.5, moved["model.layers.1.mlp.up_proj.weight"], 1e-5);
        Assert.Equal(0.25, moved["model.layers.0.self_attn.q_proj.weight"], 1e-5);
        Assert.Equal(0.125, moved["model.embed_tokens.weight"], 1e-5);
    }

    [Theory]
    [InlineData("bert-seqcls", "bert.embeddings.LayerNorm.weight", 3, "bert.pooler.dense.weight")]
    [InlineData("modernbert-mlm", "model.embeddings.norm.weight", 5, "model.final_norm.weight")]
    public void Embeddings_are_deepest_and_the_head_is_highest(string family, string embedding, int depth, string head)
    {
        using var model = PretrainedConfig.Read(Path.Combine(AppContext.BaseDirectory, "Fixtures", "models", family)).Create(family == "bert-seqcls" ? ModelHead.SequenceClassification : ModelHead.MaskedLm);
        var depths = new ParameterDepths(model);
        Assert.Contains(embedding, model.state_dict().Keys);
        Assert.Contains(head, model.state_dict().Keys);
        Assert.Equal((depth - 1, depth, 0), (depths.Blocks, depths.BelowHead(embedding), depths.BelowHead(head)));
    }

    [Fact]
    public void An_average_follows_the_weights_and_stands_in_for_them()
    {
        using var model = new TwoWeights(6, 4);
        using var optimizer = Optimizer.Create(model, Arguments("sgd") with { EmaDecay = 0.9 });
        var expected = model.Weights();
        for (var step = 1; step <= 4; step++)
        {
            Train(model, optimizer, step, step);
            expected = [.. expected.Zip(model.Weights(), (average, weight) => 0.9 * average + 0.1 * weight)];
        }
        var trained = model.Weights();

        using (optimizer.Average!.Use())
        {
            Assert.All(expected.Zip(model.Weights()), pair => Assert.Equal(pair.First, pair.Second, 1e-6));
            Assert.Equal(trained[..24], optimizer.State.Single(entry => entry.Name == "trained.matrix").Tensor.flatten().to(ScalarType.Float64).data<double>());
        }
        Assert.Equal(trained, model.Weights());
    }

    [Theory]
    [InlineData(1, false, "model.layers.0.")]
    [InlineData(0, true, "model.embed_tokens.")]
    public void What_is_frozen_is_kept_exactly_whatever_is_computed_in(int layers, bool embeddings, string frozen)
    {
        var config = new FullFineTuningConfig { Freeze = new() { Layers = layers, Embeddings = embeddings } };
        using var model = PretrainedConfig.Read(LanguageFixtures.TinyLlama).Create(ModelHead.CausalLm);
        var weights = config.Prepare(model, ModelHead.CausalLm, LanguageFixtures.TinyLlama, seed: 1);
        var before = model.state_dict().ToDictionary(entry => entry.Key, entry => entry.Value.clone());
        model.ComputeIn(ScalarType.BFloat16, weights.HoldsFrozen);

        Assert.All(model.named_parameters(), entry => Assert.Equal(!entry.name.StartsWith(frozen, StringComparison.Ordinal), entry.parameter.requires_grad));
        Assert.All(model.ExactState(), entry => Assert.Equal(before[entry.Key], entry.Tensor));
        Assert.Contains(before, entry => !entry.Key.StartsWith(frozen, StringComparison.Ordinal));
    }

    [Fact]
    public void More_than_there_is_cannot_be_frozen()
    {
        using var model = PretrainedConfig.Read(LanguageFixtures.TinyLlama).Create(ModelHead.CausalLm);
        FullFineTuningConfig Config(FreezeConfig freeze) => new() { Freeze = freeze };

        Assert.Equal("/method/freeze/layers", Fault(Config(new() { Layers = 3 })).Pointer);
        Assert.Equal("/method/freeze", Fault(Config(new() { AllButHead = true })).Pointer); // tied: the table of words is the head
        var faults = new FaultList();
        Config(new() { Layers = 3 }).CheckModel(model.Config, [new("model.layers.1.mlp.up_proj", [64, 32], false, false)], ModelHead.CausalLm, faults);
        Assert.Equal("The model has 2 blocks.", Assert.Single(faults.All).Message);

        Fault Fault(FullFineTuningConfig config) => Assert.Single(Assert.Throws<FaultException>(() => config.Prepare(model, ModelHead.CausalLm, LanguageFixtures.TinyLlama, seed: 1)).Faults);
    }

    private static TrainingArguments Arguments(string name)
    {
        var words = name.Split(' ');
        return new() { Optim = JobSpecReaderTests.Enum<OptimizerName>(words[0]), OptimArgs = words.ElementAtOrDefault(1) };
    }

    private static void Train(TwoWeights model, Optimizer optimizer, int first, int last)
    {
        for (var step = first; step <= last; step++)
        {
            model.SetGradients(step);
            optimizer.Collect();
            optimizer.Step(1e-2, maxGradNorm: 1);
        }
    }

    private static PretrainedModel Llama()
    {
        var model = PretrainedConfig.Read(LanguageFixtures.TinyLlama).Create(ModelHead.CausalLm);
        new FullFineTuningConfig().Prepare(model, ModelHead.CausalLm, LanguageFixtures.TinyLlama, seed: 1);
        return model;
    }
}
