using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Callbacks;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Diagnosis;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Tests.Diagnosis;

public sealed class RunDiagnosisTests
{
    private static readonly JobSpec Spec = new()
    {
        BaseModel = "tiny",
        Task = new TextClassificationConfig(),
        Dataset = new() { Train = "train.tsv" },
        Training = new() { NumTrainEpochs = 4, LearningRate = 1e-3, MaxLength = 64 },
    };

    private static RunFacts Facts => new(Spec, 100, 1000, 200, (0, 0), 30_000);

    [Fact]
    public void A_run_that_learns_has_nothing_to_tell() =>
        Assert.Empty(Of(Facts, [0.7, 0.6, 0.5, 0.4, 0.35], [0.65, 0.55, 0.5, 0.495]));

    [Fact]
    public void Overfitting_begins_where_the_validation_loss_was_lowest()
    {
        var finding = Assert.Single(Of(Facts, [0.7, 0.5, 0.3, 0.1, 0.05], [0.6, 0.5, 0.6, 0.75]));

        Assert.Equal(("overfitting", FindingSeverity.Warning, 50, 100), (finding.Code, finding.Severity, finding.FromStep, finding.ToStep));
        Assert.Contains("0.5", finding.Explanation);
        Assert.Equal("""{"training":{"num_train_epochs":2,"early_stopping_patience":2,"load_best_model_at_end":true}}""", finding.Patch!.ToJsonString());
    }

    [Fact]
    public void A_run_that_counts_steps_is_shortened_and_lengthened_by_steps()
    {
        var facts = Facts with { Spec = Spec with { Training = Spec.Training with { MaxSteps = 100 } } };

        Assert.Equal(50, (int)Assert.Single(Of(facts, [0.7, 0.5, 0.3, 0.1, 0.05], [0.6, 0.5, 0.6, 0.75])).Patch!["training"]!["max_steps"]!.GetValue<double>());
        var tooShort = Assert.Single(Of(facts, [0.7, 0.65, 0.6, 0.55], [0.65, 0.55]));
        Assert.Equal(("underfitting", "Train for twice as many steps."), (tooShort.Code, tooShort.Remedy));
        Assert.Equal("""{"training":{"max_steps":200}}""", tooShort.Patch!.ToJsonString());
    }

    [Fact]
    public void It_is_grave_where_the_best_checkpoint_is_not_the_result()
    {
        var facts = Facts with { Spec = Spec with { Training = Spec.Training with { LoadBestModelAtEnd = false } } };

        Assert.Equal(FindingSeverity.High, Assert.Single(Of(facts, [0.7, 0.5, 0.3, 0.1, 0.05], [0.6, 0.5, 0.6, 0.75])).Severity);
    }

    [Fact]
    public void A_loss_that_rises_from_its_start_has_too_high_a_rate()
    {
        var finding = Assert.Single(Of(Facts, [0.7, 1.9, 1.5, 0.8, 0.75, 0.72], [0.7, 0.7]));

        Assert.Equal(("learning_rate_too_high", FindingSeverity.High), (finding.Code, finding.Severity));
        Assert.Equal("""{"training":{"learning_rate":0.0001,"warmup_steps":0.1}}""", finding.Patch!.ToJsonString());
    }

    [Fact]
    public void A_single_spike_is_no_sign_of_it() =>
        Assert.Empty(Of(Facts, [0.7, 0.65, 1.9, 0.6, 0.5, 0.45], [0.6, 0.59]));

    [Fact]
    public void A_run_that_loses_what_it_had_learnt_has_too_high_a_rate() =>
        Assert.Equal("learning_rate_too_high", Assert.Single(Of(Facts, [0.7, 0.5, 0.3, 0.25, 0.69, 0.69, 0.69], [0.4, 0.69])).Code);

    [Fact]
    public void A_rate_that_moves_nothing_is_too_low()
    {
        var facts = Facts with { Spec = Spec with { Training = Spec.Training with { LearningRate = 1e-7 } } };
        var finding = Assert.Single(Of(facts, [0.7, 0.7, 0.69, 0.7, 0.7, 0.7], [0.7, 0.7], rate: 1e-7));

        Assert.Equal(("learning_rate_too_low", FindingSeverity.High), (finding.Code, finding.Severity));
        Assert.True(finding.Patch!["training"]!["learning_rate"]!.GetValue<double>() >= 1e-6);
    }

    [Fact]
    public void A_class_that_is_never_told_is_dead()
    {
        var finding = Assert.Single(Of(Facts, [0.7, 0.6, 0.5, 0.4, 0.35], [0.65, 0.55, 0.5, 0.495], [[190, 0], [10, 0]]));

        Assert.Equal("dead_classes", finding.Code);
        Assert.Equal("""{"task":{"type":"text-classification","class_weights":"balanced"}}""", finding.Patch!.ToJsonString());
    }

    [Fact]
    public void A_class_that_is_told_of_nearly_all_rows_dominates() =>
        Assert.Equal("dominated_classes", Assert.Single(Of(Facts, [0.7, 0.6, 0.5, 0.4, 0.35], [0.65, 0.55, 0.5, 0.495], [[98, 2], [90, 10]])).Code);

    /// <summary>Losses on general text before, and after 20, 40 and 60 steps, of runs on samples/shakespeare (tiny-llama-en) and samples/sst2 (tiny-bert-en, masked-lm).</summary>
    [Theory]
    [InlineData("full at 1e-3", 4.116, 4.609, 4.689, 4.750, 33)]
    [InlineData("full at 3e-4", 4.116, 4.273, 4.290, 4.301, null)]
    [InlineData("full at 5e-5", 4.116, 4.112, 4.116, 4.119, null)]
    [InlineData("lora at 2e-3", 4.116, 4.332, 4.380, 4.429, 66)]
    [InlineData("lora at 2e-4", 4.116, 4.118, 4.127, 4.131, null)]
    [InlineData("masked at 1e-3", 4.554, 5.187, 5.129, 5.158, 33)]
    [InlineData("masked at 1e-4", 4.554, 4.638, 4.637, 4.640, null)]
    public void What_is_forgotten_is_told_from_the_step_on_that_shows_it(string run, double before, double first, double second, double last, int? from)
    {
        List<JsonObject> log = [.. new[] { before, first, second, last }.Index().Select(loss => new JsonObject { ["probe_loss"] = loss.Item, ["step"] = 100 * loss.Index / 3 })];
        var isAdapter = run.StartsWith("lora", StringComparison.Ordinal);
        var spec = Spec with { Method = isAdapter ? new LoraConfig() : new FullFineTuningConfig() };

        var finding = RunDiagnosis.Of(new(Facts with { Spec = spec }, log, null, HasEnded: true)).SingleOrDefault();

        Assert.Equal(from, finding?.FromStep);
        if (finding is not null)
            Assert.Equal(isAdapter ? """{"training":{"learning_rate":0.00033}}""" : """{"method":{"type":"lora"},"training":{"learning_rate":0.0002}}""", finding.Patch!.ToJsonString());
    }

    [Fact]
    public void Texts_that_are_cut_and_rows_that_are_few_are_told()
    {
        Assert.Equal("truncation", Assert.Single(Of(Facts with { Truncated = (400, 10_000) }, [0.7, 0.5], [])).Code);
        Assert.Equal("data_too_small", Assert.Single(Of(Facts with { TrainRows = 40 }, [0.7, 0.5], [])).Code);
        Assert.Equal(FindingSeverity.Info, Assert.Single(Of(Facts with { ValidationRows = 20 }, [0.7, 0.5], [])).Severity);
    }

    [Theory]
    [InlineData(200, 4, null)]
    [InlineData(1000, 20, null)]
    [InlineData(200, 12, FindingSeverity.Warning)]
    [InlineData(400, 100, FindingSeverity.High)]
    public void Labels_that_contradict_each_other_are_told(int repeated, int contradicted, FindingSeverity? severity)
    {
        var finding = Of(Facts with { Repeated = (repeated, contradicted) }, [0.7, 0.6, 0.5, 0.4, 0.35], [0.65, 0.55, 0.5, 0.495]).SingleOrDefault();

        Assert.Equal(severity, finding?.Severity);
        if (finding is not null)
            Assert.Equal(("label_noise", """{"training":{"label_smoothing_factor":0.1}}"""), (finding.Code, finding.Patch!.ToJsonString()));
    }

    [Fact]
    public void Each_is_told_once_also_by_a_run_that_was_resumed()
    {
        var told = new List<Finding>();
        var control = new TrainerControl(happened => told.Add(((Diagnosed)happened).Finding));
        var facts = Facts with { TrainRows = 40 };
        var first = new RunDiagnosis(facts);
        first.OnEvaluate(new TrainerState(), new(new Dictionary<string, double>()), control);
        first.OnEvaluate(new TrainerState(), new(new Dictionary<string, double>()), control);
        var resumed = new RunDiagnosis(facts);
        resumed.LoadState(JsonNode.Parse(first.SaveState()!.ToJsonString())!);
        resumed.OnTrainEnd(new TrainerState(), control);

        Assert.Equal("data_too_small", Assert.Single(told).Code);
    }

    /// <summary>What a run tells that logged these losses at equal distances up to step 100.</summary>
    private static List<Finding> Of(RunFacts facts, double[] losses, double[] evaluations, int[][]? matrix = null, double rate = 1e-3)
    {
        var log = losses.Index().Select(loss => new JsonObject { ["loss"] = loss.Item, ["grad_norm"] = 1.0, ["learning_rate"] = rate, ["step"] = Math.Max(1, 100 * loss.Index / (losses.Length - 1)) })
            .Concat(evaluations.Index().Select(loss => new JsonObject { ["eval_loss"] = loss.Item, ["step"] = 100 * (loss.Index + 1) / evaluations.Length }))
            .OrderBy(line => line["step"]!.GetValue<int>()).ToList();
        var scores = new Scores(new Dictionary<string, double>(), matrix ?? [[100, 20], [20, 60]], ["0", "1"]);
        return [.. RunDiagnosis.Of(new(facts, log, scores, HasEnded: true))];
    }
}
