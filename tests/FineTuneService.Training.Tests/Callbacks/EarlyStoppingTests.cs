using FineTuneService.Contracts;
using FineTuneService.Training.Callbacks;
using FineTuneService.Training.Checkpoints;

namespace FineTuneService.Training.Tests.Callbacks;

public sealed class EarlyStoppingTests
{
    private readonly List<TrainingEvent> _events = [];

    [Fact]
    public void Stops_after_patience_evaluations_without_improvement()
    {
        Assert.Equal([false, false, false, true], Feed(new EarlyStopping("eval_loss", greaterIsBetter: false, patience: 2, threshold: 0), 1.0, 0.9, 0.95, 0.9));
        Assert.Equal("early_stopping", Assert.IsType<Noted>(Assert.Single(_events)).Code);
    }

    [Fact]
    public void An_improvement_below_the_threshold_is_none() =>
        Assert.Equal([false, true], Feed(new EarlyStopping("eval_loss", greaterIsBetter: true, patience: 1, threshold: 0.1), 0.5, 0.55));

    [Fact]
    public void Its_state_survives_a_checkpoint()
    {
        var before = new EarlyStopping("eval_loss", greaterIsBetter: false, patience: 2, threshold: 0);
        Feed(before, 1.0, 1.1);
        var after = new EarlyStopping("eval_loss", greaterIsBetter: false, patience: 2, threshold: 0);
        after.LoadState(before.SaveState());

        Assert.Equal([true], Feed(after, 1.2));
    }

    private bool[] Feed(EarlyStopping callback, params double[] losses)
    {
        var control = new TrainerControl(_events.Add);
        return [.. losses.Select(loss =>
        {
            callback.OnEvaluate(new TrainerState(), new(new Dictionary<string, double> { ["eval_loss"] = loss }), control);
            return control.ShouldTrainingStop;
        })];
    }
}
