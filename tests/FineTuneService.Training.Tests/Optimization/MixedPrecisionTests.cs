using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Data;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Optimization;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tests.Data;
using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Optimization;

[Collection(GlobalGenerator.Name)]
public sealed class MixedPrecisionTests : IDisposable
{
    private static readonly TrainingArguments Arguments = new() { PerDeviceTrainBatchSize = 8, MaxLength = 64, MaxSteps = 30, LearningRate = 3e-3 };

    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly string _folder = Directory.CreateTempSubdirectory("precision").FullName;

    public void Dispose()
    {
        _scope.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void A_run_in_bf16_follows_that_in_fp32()
    {
        using var exact = Model(new FullFineTuningConfig(), out _);
        using var shortened = Model(new FullFineTuningConfig(), out _, ScalarType.BFloat16);

        Assert.All(Train(exact).Zip(Train(shortened)), pair => Assert.Equal(pair.First, pair.Second, 0.02 * pair.First));
    }

    [Theory]
    [InlineData("full", "model.safetensors")]
    [InlineData("lora", "adapter_model.safetensors")]
    public void Weights_are_trained_and_stored_in_fp32_and_computed_with_as_their_nearest_bf16(string method, string file)
    {
        var config = method == "full" ? (TrainingMethodConfig)new FullFineTuningConfig() : new LoraConfig { R = 4 };
        using var model = Model(config, out var weights, ScalarType.BFloat16);
        Train(model);
        weights.Save(_folder);

        using var reader = SafetensorsReader.Open(Path.Combine(_folder, file));
        Assert.All(reader.Entries, entry => Assert.Equal("F32", entry.Value.Dtype));
        var exact = model.ExactState().ToDictionary(entry => entry.Key, entry => entry.Tensor);
        var trained = model.named_parameters().Where(entry => entry.parameter.requires_grad).ToList();
        Assert.All(trained, entry => Assert.Equal(exact[entry.name].to(ScalarType.BFloat16), entry.parameter));
        Assert.Contains(trained, entry => exact[entry.name].ne(entry.parameter.to(ScalarType.Float32)).any().ToBoolean());
        Assert.All(model.parameters(), parameter => Assert.Equal(ScalarType.BFloat16, parameter.dtype));

        // Read back, it computes the same to the bit.
        var ids = arange(3, 19, dtype: ScalarType.Int64).unsqueeze(0);
        var before = Logits(model, ids);
        foreach (var entry in trained)
            using (no_grad())
                exact[entry.name].zero_();
        weights.Load(_folder);
        Assert.Equal(before, Logits(model, ids));
    }

    [Fact]
    public void Updates_too_small_for_bf16_add_up()
    {
        using var model = Model(new FullFineTuningConfig(), out _, ScalarType.BFloat16);
        var (name, parameter) = model.named_parameters().First(entry => entry.name.EndsWith("norm.weight", StringComparison.Ordinal)); // all ones: the next bf16 number is 1/128 away
        using var optimizer = new AdamW(model, weightDecay: 0);
        for (var step = 0; step < 100; step++)
        {
            parameter.grad = ones_like(parameter);
            optimizer.Collect();
            optimizer.Step(learningRate: 1e-4, maxGradNorm: 0);
        }
        Assert.Equal(0.99, model.Masters!.Exact(name, parameter)[0].ToDouble(), 1e-4);
        Assert.Equal(0.98828125, parameter[0].to(ScalarType.Float32).ToDouble()); // the bf16 number next to it
    }

    private static PretrainedModel Model(TrainingMethodConfig method, out TrainedWeights weights, ScalarType type = ScalarType.Float32)
    {
        var model = PretrainedConfig.Read(LanguageFixtures.TinyLlama).Create(ModelHead.CausalLm);
        weights = method.Prepare(model, ModelHead.CausalLm, LanguageFixtures.TinyLlama, seed: 1);
        model.ComputeIn(type);
        return model;
    }

    private static List<double> Train(PretrainedModel model)
    {
        var path = Path.Combine(AppContext.BaseDirectory, "samples", "shakespeare", "train.jsonl");
        var task = new CausalLmConfig().Load(new DatasetSpec { Train = path, TextColumn = "text", ValidationSplit = 0 }, Arguments, LanguageFixtures.Tokenizer);
        using var optimizer = new AdamW(model, weightDecay: 0.01);
        var step = new TrainingStep(model, task.Loss, optimizer, maxGradNorm: 1);
        var losses = new List<double>();
        foreach (var batches in DataLoader.TrainingSteps(task.Train, Arguments, new StepPlan(Arguments, task.Train.Count), 0))
        {
            using var scope = NewDisposeScope();
            losses.Add(step.Run(batches, Arguments.LearningRate.Resolved)[TrainingStep.Loss].ToDouble());
        }
        return losses;
    }

    private static Tensor Logits(PretrainedModel model, Tensor ids)
    {
        using var _ = no_grad();
        return model.call(new ModelInputs(ids));
    }
}
