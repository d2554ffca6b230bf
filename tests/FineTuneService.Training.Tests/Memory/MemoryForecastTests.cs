using FineTuneService.Contracts;
using FineTuneService.Training.Memory;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Models.Layers;
using FineTuneService.Training.Optimization;
using FineTuneService.Training.Tasks;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Memory;

/// <summary>What the forecast counts, against the models, adapters and optimizers that it is about. What it says of a running step is measured by the bench.</summary>
public sealed class MemoryForecastTests
{
    private static readonly string Fixtures = Path.Combine(AppContext.BaseDirectory, "Fixtures", "models");

    private static readonly Dictionary<ModelHead, TaskConfig> Tasks = new()
    {
        [ModelHead.SequenceClassification] = new TextClassificationConfig(),
        [ModelHead.TokenClassification] = new TokenClassificationConfig(),
        [ModelHead.CausalLm] = new CausalLmConfig(),
        [ModelHead.MaskedLm] = new MaskedLanguageModelConfig(),
    };

    public static TheoryData<string, ModelHead> Models =>
    [
        .. from folder in Directory.EnumerateDirectories(Fixtures)
           where File.Exists(Path.Combine(folder, "config.json"))
           from head in PretrainedConfig.Read(folder).Heads.Keys
           where Tasks.ContainsKey(head)
           select (Path.GetFileName(folder)!, head),
    ];

    [Theory]
    [MemberData(nameof(Models))]
    public void Every_parameter_of_every_family_is_known_by_name_and_shape(string name, ModelHead head)
    {
        var config = PretrainedConfig.Read(Path.Combine(Fixtures, name));
        using var model = config.Create(head);

        var slots = new MemoryForecaster(Spec(Tasks[head]), config, new(8)).Slots;

        Assert.Equal(
            model.named_parameters().Select(entry => (entry.name, entry.parameter.numel())).Order(),
            slots.Select(slot => (slot.Name, slot.Count)).Order());
        Assert.Equal(model.ParameterCount, MemoryForecast.Of(Spec(Tasks[head]), config, new(8)).Parameters);
    }

    [Fact]
    public void A_discriminator_comes_with_its_generator()
    {
        var task = new ReplacedTokenDetectionConfig();
        var config = (ElectraConfig)PretrainedConfig.Read(Path.Combine(Fixtures, "electra-rtd"));
        using var pair = (config with { Generator = new(task.Generator.Size, task.Generator.ShareEmbeddings) }).Create(ModelHead.ReplacedTokenDetection);

        Assert.Equal(pair.ParameterCount, MemoryForecast.Of(Spec(task), config, new(8)).Parameters);
    }

    [Theory]
    [InlineData("bert-seqcls", ModelHead.SequenceClassification, """{"type": "lora"}""")]
    [InlineData("distilbert-mlm", ModelHead.SequenceClassification, """{"type": "lora", "r": 4}""")]
    [InlineData("bert-seqcls", ModelHead.SequenceClassification, """{"type": "lora", "bias": "all", "target_modules": ["query"]}""")]
    [InlineData("llama-clm", ModelHead.CausalLm, """{"type": "lora", "r": 2, "target_modules": "all-linear", "use_dora": true}""")]
    [InlineData("llama-clm", ModelHead.CausalLm, """{"type": "qlora", "r": 2}""")]
    [InlineData("gpt2-clm", ModelHead.CausalLm, """{"type": "lora", "bias": "lora_only"}""")]
    [InlineData("bert-seqcls", ModelHead.SequenceClassification, """{"type": "full", "freeze": {"layers": 1, "embeddings": true}}""")]
    [InlineData("gpt2-clm", ModelHead.CausalLm, """{"type": "full", "freeze": {"layers": 1}}""")]
    public void What_a_method_trains_is_what_the_forecast_says(string name, ModelHead head, string method)
    {
        var folder = Path.Combine(Fixtures, name);
        var config = PretrainedConfig.Read(folder);
        var chosen = (TrainingMethodConfig)System.Text.Json.JsonSerializer.Deserialize<MethodConfig>(method, Catalog.Json)!;
        using var model = config.Create(head);
        chosen.Prepare(model, head, folder, seed: 1);

        var forecast = MemoryForecast.Of(Spec(Tasks[head]) with { Method = chosen }, config, new(8));

        Assert.Equal(model.parameters().Where(parameter => parameter.requires_grad).Sum(parameter => parameter.numel()), forecast.TrainableParameters);
        Assert.Equal(model.ParameterCount, forecast.Parameters);
        const int Tables = 3 << 10; // of each packed matrix
        var packed = model.modules().OfType<Nf4Matrix>().Sum(matrix => matrix.Bytes + Tables);
        Assert.Equal(packed + 4 * model.parameters().Sum(parameter => parameter.numel()), forecast.FrozenWeightBytes + forecast.TrainedWeightBytes);
    }

    [Theory]
    [InlineData(OptimizerName.AdamwTorch, MixedPrecision.No)]
    [InlineData(OptimizerName.AdamwTorch, MixedPrecision.Bf16)]
    [InlineData(OptimizerName.Adamw8bit, MixedPrecision.No)]
    [InlineData(OptimizerName.Adafactor, MixedPrecision.Bf16)]
    [InlineData(OptimizerName.Sgd, MixedPrecision.No)]
    public void An_optimizer_remembers_what_the_forecast_says(OptimizerName optimizer, MixedPrecision precision)
    {
        var config = PretrainedConfig.Read(Path.Combine(Fixtures, "bert-seqcls"));
        var training = Training with { Optim = optimizer, OptimArgs = optimizer == OptimizerName.Sgd ? "momentum=0.9" : null, EmaDecay = 0.9, MixedPrecision = precision };
        using var scope = NewDisposeScope();
        using var model = config.Create(ModelHead.SequenceClassification);
        if (precision != MixedPrecision.No)
            model.ComputeIn(ScalarType.BFloat16, keepFrozen: true);
        using var created = Optimizer.Create(model, training);

        var forecast = MemoryForecast.Of(Spec(new TextClassificationConfig()) with { Training = training }, config, new(8));

        Assert.Equal(
            created.State.Where(entry => !entry.Name.StartsWith("step.", StringComparison.Ordinal)).Sum(entry => entry.Tensor.numel() * entry.Tensor.element_size()),
            forecast.OptimizerStateBytes + forecast.WeightAverageBytes);
        Assert.Equal(model.parameters().Sum(parameter => parameter.numel() * parameter.element_size()) + (precision == MixedPrecision.No ? 0 : 4 * model.ParameterCount), forecast.TrainedWeightBytes + forecast.WeightCopyBytes);
    }

    /// <summary>Each of what is said to save memory does.</summary>
    [Fact]
    public void What_saves_memory_is_forecast_to()
    {
        var config = PretrainedConfig.Read(Path.Combine(Fixtures, "llama-clm"));
        var usual = Step(Training);

        Assert.True(Step(Training with { GradientCheckpointing = true }) < usual);
        Assert.True(Step(Training with { MixedPrecision = MixedPrecision.Bf16 }) < usual);
        Assert.True(Step(Training with { PerDeviceTrainBatchSize = 4 }) < usual);
        Assert.True(Step(Training with { MaxLength = 16 }) < usual);
        Assert.Equal(usual, Step(Training, rows: 1000));
        Assert.True(Step(Training, rows: 2) < usual); // There are no more.

        long Step(TrainingArguments training, long rows = 8) =>
            MemoryForecast.Of(Spec(new CausalLmConfig()) with { Training = training }, config, new(rows)).Moments.Single(moment => moment.Name == "training_step").Bytes;
    }

    /// <summary>Only where no adapter can be switched off is there a second model; the base's logits are there in any case.</summary>
    [Theory]
    [InlineData("llama-clm", ModelHead.CausalLm)]
    [InlineData("bert-mlm", ModelHead.MaskedLm)]
    public void A_base_to_stay_near_is_counted(string name, ModelHead head)
    {
        var config = PretrainedConfig.Read(Path.Combine(Fixtures, name));
        using var model = config.Create(head);
        var near = Training with { KlToBaseWeight = 0.1 };

        Assert.Equal(0, Of(Training, new FullFineTuningConfig()).BaseCopyBytes);
        Assert.Equal(4 * model.ParameterCount, Of(near, new FullFineTuningConfig()).BaseCopyBytes);
        Assert.Equal(2 * model.ParameterCount, Of(near with { MixedPrecision = MixedPrecision.Bf16 }, new FullFineTuningConfig()).BaseCopyBytes);
        Assert.Equal(0, Of(near, new LoraConfig()).BaseCopyBytes);
        Assert.True(Of(near, new LoraConfig()).LogitBytes > Of(Training, new LoraConfig()).LogitBytes);

        MemoryForecast Of(TrainingArguments training, TrainingMethodConfig method) => MemoryForecast.Of(Spec(Tasks[head]) with { Training = training, Method = method }, config, new(8));
    }

    [Fact]
    public void Logits_are_kept_only_of_a_trained_head_whose_losses_have_a_factor_that_is_not_known_yet()
    {
        var config = PretrainedConfig.Read(Path.Combine(Fixtures, "llama-clm"));
        var logits = 8L * 32 * config.VocabSize * sizeof(float);

        Assert.True(Of(new CausalLmConfig(), new LoraConfig()) < logits);
        Assert.True(Of(new CausalLmConfig(), new FullFineTuningConfig()) < logits);
        Assert.True(Of(new DpoConfig(), new LoraConfig()) < 2 * logits);
        Assert.True(Of(new DpoConfig(), new LoraConfig { TargetModules = new(["q_proj", "lm_head"]) }) > 2 * logits);
        Assert.True(Of(new DpoConfig(), new FullFineTuningConfig()) > 2 * logits);

        long Of(TaskConfig task, TrainingMethodConfig method) => MemoryForecast.Of(Spec(task) with { Method = method }, config, new(8)).LogitBytes;
    }

    private static TrainingArguments Training { get; } = new() { MaxLength = 32, PerDeviceTrainBatchSize = 8 };

    private static JobSpec Spec(TaskConfig task) => new() { BaseModel = "model", Task = task, Dataset = new() { Train = "rows" }, Training = Training };
}
