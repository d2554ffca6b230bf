using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Tests;

public sealed class SpecResolverTests
{
    private static readonly JobSpec Spec = new() { BaseModel = "bert", Task = new TextClassificationConfig(), Dataset = new() { Train = "ds_1" } };

    private static readonly SpecFacts Facts = new() { TrainRows = 5_000, Columns = ["id", "sentence", "label"], MaxPositions = 128, Parameters = 4_000_000 };

    [Fact]
    public void What_no_head_can_tell_is_not_measured()
    {
        IEnumerable<string> Refused(JobSpec spec)
        {
            var faults = new FaultList();
            SpecResolver.Resolve(spec with { Training = new() { ForgettingCheck = true } }, Facts with { Columns = ["text"] }, faults);
            return faults.All.Where(fault => fault.Pointer == "/training/forgetting_check").Select(fault => fault.Message);
        }

        Assert.StartsWith("Not measurable", Assert.Single(Refused(Spec)));
        Assert.Contains("nothing to forget", Assert.Single(Refused(Spec with { Task = new CausalLmConfig(), Init = WeightsFrom.Config })));
        Assert.Empty(Refused(Spec with { Task = new MaskedLanguageModelConfig() }));
        Assert.Empty(Refused(Spec with { Task = new CausalLmConfig() }));
    }

    [Fact]
    public void A_generator_does_not_go_into_an_adapter()
    {
        IEnumerable<string> Refused(MethodConfig? method)
        {
            var faults = new FaultList();
            SpecResolver.Resolve(Spec with { Task = new ReplacedTokenDetectionConfig(), Method = method }, Facts with { Columns = ["text"] }, faults);
            return faults.All.Select(fault => fault.Pointer);
        }

        Assert.Equal("/method", Assert.Single(Refused(new LoraConfig())));
        Assert.Equal("/method", Assert.Single(Refused(new QloraConfig())));
        Assert.Empty(Refused(null));
    }

    [Fact]
    public void Nothing_is_preferred_near_weights_that_are_drawn()
    {
        var faults = new FaultList();
        SpecResolver.Resolve(Spec with { Task = new DpoConfig(), Init = WeightsFrom.Config }, Facts with { Columns = ["chosen", "rejected"] }, faults);

        Assert.Equal("/init", Assert.Single(faults.All).Pointer);
    }

    [Theory]
    [InlineData("label,sentence2,sentence1", null, "sentence1", "sentence2")]
    [InlineData("question,sentence,label", null, "question", "sentence")]
    [InlineData("text,premise,hypothesis,label", null, "premise", "hypothesis")]
    [InlineData("sentence1,sentence2,label", "sentence1", "sentence1", null)] // Whoever names one wants that one.
    [InlineData("sentence1,text,label", null, "text", null)]
    public void Texts_that_belong_together_are_found_by_their_names(string columns, string? given, string text, string? pair)
    {
        var (spec, resolutions) = SpecResolver.Resolve(Spec with { Dataset = new() { Train = "ds_1", TextColumn = given } }, Facts with { Columns = columns.Split(',') });

        Assert.Equal((text, pair), (spec.Dataset.TextColumn, spec.Dataset.TextPairColumn));
        Assert.Equal(pair is not null, resolutions.Any(one => one.Pointer == "/dataset/text_pair_column"));
    }

    [Fact]
    public void What_is_forgotten_counts_only_where_it_is_measured()
    {
        var spec = Spec with { Task = new CausalLmConfig(), Training = new() { ForgettingWeight = 0.5 } };
        var faults = new FaultList();
        SpecResolver.Resolve(spec, Facts with { Columns = ["text"] }, faults);

        Assert.Equal("/training/forgetting_weight", Assert.Single(faults.All).Pointer);
        foreach (var measured in new[] { spec with { Training = spec.Training with { ForgettingCheck = true } }, spec with { Dataset = spec.Dataset with { Earlier = ["ds_2"] } } })
            Assert.Equal(("forgetting_aware_loss", false), SpecResolver.Resolve(measured, Facts with { Columns = ["text"] }).Spec.Training is var resolved ? (resolved.MetricForBestModel, resolved.GreaterIsBetter) : default);
    }

    [Fact]
    public void What_has_no_base_to_stay_near_is_refused()
    {
        IEnumerable<Fault> Refused(JobSpec spec)
        {
            var faults = new FaultList();
            SpecResolver.Resolve(spec with { Training = new() { KlToBaseWeight = 0.5 } }, Facts with { Columns = ["text", "chosen", "rejected"] }, faults);
            return faults.All.Where(fault => fault.Pointer == "/training/kl_to_base_weight");
        }

        var (masked, causal) = (Spec with { Task = new MaskedLanguageModelConfig() }, Spec with { Task = new CausalLmConfig() });
        Assert.Contains("no head that predicts tokens", Assert.Single(Refused(Spec)).Message);
        Assert.Contains("beta", Assert.Single(Refused(Spec with { Task = new DpoConfig() })).Remedy);
        Assert.Contains("drawn", Assert.Single(Refused(causal with { Init = WeightsFrom.Config })).Message);
        Assert.Contains("more than an adapter", Assert.Single(Refused(causal with { Method = new LoraConfig { Bias = LoraBias.All } })).Message);
        Assert.Contains("more than an adapter", Assert.Single(Refused(masked with { Method = new QloraConfig { ModulesToSave = ["lm_head"] } })).Message);
        Assert.All(new[] { masked, causal, causal with { Method = new LoraConfig() } }, spec => Assert.Empty(Refused(spec)));
    }

    [Fact]
    public void Every_choice_is_made_told_and_kept()
    {
        var asked = Spec with { Training = new() { NumTrainEpochs = default, PerDeviceTrainBatchSize = default, LearningRate = default, EvalStrategy = IntervalStrategy.Steps, SaveStrategy = IntervalStrategy.Steps } };

        var (spec, resolutions) = SpecResolver.Resolve(asked, Facts);

        Assert.Equal(new FullFineTuningConfig(), spec.Method);
        Assert.Equal(("sentence", "label"), (spec.Dataset.TextColumn, spec.Dataset.LabelColumn));
        Assert.Equal(
            asked.Training with
            {
                NumTrainEpochs = 5,
                PerDeviceTrainBatchSize = 16,
                LearningRate = 3e-4,
                MaxLength = 128,
                DataSeed = 42,
                EvalSteps = 10,
                MetricForBestModel = "loss",
                GreaterIsBetter = false,
            },
            spec.Training);
        var json = JsonSerializer.SerializeToElement(spec, Catalog.Json);
        Assert.Equal(11, resolutions.Count);
        Assert.All(resolutions, chosen => Assert.True(JsonElement.DeepEquals(
            chosen.Value, chosen.Pointer.Split('/').Skip(1).Aggregate(json, (at, name) => at.GetProperty(name)))));

        var again = SpecResolver.Resolve(spec, Facts);
        Assert.Equal(spec, again.Spec);
        Assert.Empty(again.Resolutions);
    }

    [Fact]
    public void Without_validation_rows_nothing_is_evaluated()
    {
        var (spec, resolutions) = SpecResolver.Resolve(Spec with { Dataset = Spec.Dataset with { ValidationSplit = 0 }, Training = new() { EvalOnStart = true } }, Facts);

        Assert.Equal((IntervalStrategy.No, false, false), (spec.Training.EvalStrategy, spec.Training.EvalOnStart, spec.Training.LoadBestModelAtEnd));
        Assert.Null(spec.Training.MetricForBestModel);
        Assert.Contains(resolutions, chosen => chosen.Pointer == "/training/load_best_model_at_end");
    }

    [Theory]
    [InlineData("accuracy", true)]
    [InlineData("eval_loss", false)]
    [InlineData("perplexity", false)]
    [InlineData("eval_rmse", false)]
    [InlineData("mae", false)]
    public void Losses_fall_and_other_metrics_rise(string metric, bool greaterIsBetter) =>
        Assert.Equal(greaterIsBetter, SpecResolver.Resolve(Spec with { Training = new() { MetricForBestModel = metric } }, Facts).Spec.Training.GreaterIsBetter);

    [Fact]
    public void Columns_and_lengths_that_cannot_be_are_told_together()
    {
        var asked = Spec with { Dataset = Spec.Dataset with { TextColumn = "review" }, Training = new() { MaxLength = 129 } };

        var faults = Assert.Throws<FaultException>(() => SpecResolver.Resolve(asked, Facts with { Columns = ["id", "sentence"] })).Faults;

        Assert.Equal(["/dataset/text_column", "/dataset/label_column", "/training/max_length"], faults.Select(fault => fault.Pointer));
        Assert.Equal("Name one of the columns: id, sentence.", faults[0].Remedy);
    }

    [Fact]
    public void Without_facts_columns_stay_open_and_the_length_is_the_usual_one()
    {
        var spec = SpecResolver.Resolve(Spec, new()).Spec;

        Assert.Null(spec.Dataset.TextColumn);
        Assert.Equal(512, spec.Training.MaxLength.Resolved);
    }
}
