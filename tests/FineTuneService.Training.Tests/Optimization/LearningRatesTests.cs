using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Callbacks;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Optimization;

namespace FineTuneService.Training.Tests.Optimization;

public sealed class LearningRatesTests
{
    private static readonly JsonObject Golden = Goldens.Read();

    public static TheoryData<int> Schedules => [.. Enumerable.Range(0, Golden["schedules"]!.AsArray().Count)];

    public static TheoryData<int> Plateaus => [.. Enumerable.Range(0, Golden["plateaus"]!.AsArray().Count)];

    [Theory]
    [MemberData(nameof(Schedules))]
    public void Every_schedule_goes_as_that_of_transformers(int index)
    {
        var golden = Golden["schedules"]![index]!;
        var schedule = Read<LearningRateSchedule>(golden["type"]!);
        var (peak, total) = (Golden["peak"]!.GetValue<double>(), Golden["total"]!.GetValue<int>());

        var rates = Enumerable.Range(0, total + 1)
            .Select(step => peak * LearningRates.Factor(schedule, step, golden["warmup"]!.GetValue<int>(), total, Read<LearningRateOptions>(golden["kwargs"]!), peak));

        Assert.All(golden["rates"].Numbers().Zip(rates), pair => Assert.Equal(pair.First, pair.Second, 1e-15));
    }

    [Fact]
    public void Every_schedule_has_a_golden_case() => Assert.Empty(
        Enum.GetValues<LearningRateSchedule>().Except(Golden["schedules"]!.AsArray().Select(golden => Read<LearningRateSchedule>(golden!["type"]!))).Except([LearningRateSchedule.ReduceLrOnPlateau]));

    [Theory]
    [MemberData(nameof(Plateaus))]
    public void A_plateau_lowers_the_rate_as_in_PyTorch(int index)
    {
        var golden = Golden["plateaus"]![index]!.DeepClone();
        var kwargs = golden["kwargs"]!.AsObject();
        var rises = kwargs.Remove("mode"); // Only "max" is given; here greater_is_better says it.
        var peak = Golden["peak"]!.GetValue<double>();
        var control = new TrainerControl(_ => { });
        ReduceLrOnPlateau Fresh() => new("eval_loss", rises, peak, Read<LearningRateOptions>(kwargs));
        var scheduler = Fresh();

        foreach (var (metric, rate) in golden["metrics"].Numbers().Zip(golden["rates"].Numbers()))
        {
            scheduler.OnEvaluate(new TrainerState(), new(new Dictionary<string, double> { ["eval_loss"] = metric }), control);
            Assert.Equal(rate, scheduler.LearningRate(peak), 1e-15);

            // Every evaluation may be the last before a checkpoint.
            var saved = JsonNode.Parse(scheduler.SaveState().ToJsonString())!;
            scheduler = Fresh();
            scheduler.LoadState(saved);
        }
    }

    [Fact]
    public void A_decay_may_be_a_share_of_all_steps() => Assert.Equal(
        LearningRates.Factor(LearningRateSchedule.WarmupStableDecay, 17, 4, 20, new() { NumDecaySteps = 8 }),
        LearningRates.Factor(LearningRateSchedule.WarmupStableDecay, 17, 4, 20, new() { NumDecaySteps = 0.4 }));

    private static T Read<T>(JsonNode json) => json.Deserialize<T>(Catalog.Json)!;
}
