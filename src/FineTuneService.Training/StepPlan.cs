using FineTuneService.Contracts;

namespace FineTuneService.Training;

/// <summary>How many optimizer steps there are and what is due after each, counted as transformers' Trainer counts.</summary>
public sealed record StepPlan
{
    private readonly TrainingArguments _arguments;
    private readonly int _loggingSteps, _evalSteps, _saveSteps;

    /// <param name="microBatchSize">Rows that go through the model at once; null: those of a micro-batch of <paramref name="arguments"/>, of which it is a part otherwise.</param>
    public StepPlan(TrainingArguments arguments, int trainRows, int? microBatchSize = null)
    {
        _arguments = arguments;
        var batch = arguments.PerDeviceTrainBatchSize.Resolved;
        MicroBatchSize = microBatchSize ?? batch;
        BatchesPerEpoch = Math.Max(1, arguments.DataloaderDropLast ? trainRows / batch : (trainRows + batch - 1) / batch);
        StepsPerEpoch = (BatchesPerEpoch + arguments.GradientAccumulationSteps - 1) / arguments.GradientAccumulationSteps;
        TotalSteps = arguments.MaxSteps > 0 ? arguments.MaxSteps : (int)Math.Ceiling(arguments.NumTrainEpochs.Resolved * StepsPerEpoch);
        WarmupSteps = Count(arguments.WarmupSteps);
        _loggingSteps = Math.Max(1, Count(arguments.LoggingSteps));
        _evalSteps = Math.Max(1, Count(arguments.EvalSteps ?? arguments.LoggingSteps));
        _saveSteps = Math.Max(1, Count(arguments.SaveSteps));
    }

    public int MicroBatchSize { get; }

    public int BatchesPerEpoch { get; }

    /// <summary>Optimizer steps per epoch; the last may accumulate fewer micro-batches.</summary>
    public int StepsPerEpoch { get; }

    public int TotalSteps { get; }

    public int WarmupSteps { get; }

    public double Epoch(int step) => (double)step / StepsPerEpoch;

    public bool LogIsDue(int step) => step % _loggingSteps == 0 || (step == 1 && _arguments.LoggingFirstStep) || step == TotalSteps;

    public bool EvaluationIsDue(int step) => IsDue(_arguments.EvalStrategy, _evalSteps, step) || (step == 0 && _arguments.EvalOnStart);

    public bool SaveIsDue(int step) => IsDue(_arguments.SaveStrategy, _saveSteps, step);

    public double LearningRate(int step)
    {
        var peak = _arguments.LearningRate.Resolved;
        return peak * Optimization.LearningRates.Factor(_arguments.LrSchedulerType, step, WarmupSteps, TotalSteps, _arguments.LrSchedulerKwargs, peak);
    }

    private bool IsDue(IntervalStrategy strategy, int every, int step) => step > 0 && strategy switch
    {
        IntervalStrategy.Steps => step % every == 0,
        IntervalStrategy.Epoch => step % StepsPerEpoch == 0 || step == TotalSteps,
        _ => false,
    };

    private int Count(double stepsOrShare) => (int)Math.Ceiling(stepsOrShare < 1 ? stepsOrShare * TotalSteps : stepsOrShare);
}
