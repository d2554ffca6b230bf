using System.Diagnostics;
using FineTuneService.Contracts;
using FineTuneService.Training.Assessment;
using FineTuneService.Training.Callbacks;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Data;
using FineTuneService.Training.Diagnosis;
using FineTuneService.Training.Native;
using FineTuneService.Training.Optimization;
using FineTuneService.Training.Tasks;
using static TorchSharp.torch;

namespace FineTuneService.Training;

/// <summary>How an attempt ends, if not by an exception.</summary>
public enum TrainingEnd
{
    /// <summary>The plan was fulfilled, or a callback ended it.</summary>
    Completed,

    /// <summary>Stopped on request; it can be resumed.</summary>
    Stopped,

    /// <summary>The run has changed something about itself, see <see cref="RunAdaptation"/>, and wants to begin anew from its last checkpoint, in a process whose memory is fresh.</summary>
    Restart,
}

/// <summary>
/// The loop. After each step, and once before the first: log? evaluate? save? stop? Then the next step.
/// So the end of the run needs no second copy of evaluating and saving, and a checkpoint always holds the state between two steps.
/// </summary>
public sealed class Trainer(TrainerParts parts)
{
    private readonly TrainerControl _control = new(parts.Emit);
    private readonly TrainingStep _trainingStep = new(parts.Model, parts.Task.Loss, parts.Optimizer, parts.Arguments.MaxGradNorm, parts.Ranks);
    private readonly FiniteWatch _watch = new();
    private TrainerState _state = new();
    private Pace _pace = new();
    private ClassifierOutputs? _judged; // The validation rows, by the model as it is now.

    private TrainingArguments Arguments => parts.Arguments;

    private StepPlan Plan => parts.Plan;

    private string MetricForBest => MetricFor(Arguments);

    /// <summary>Name of the evaluation metric by which checkpoints are compared.</summary>
    public static string MetricFor(TrainingArguments arguments) => EvaluationMetric.Named(arguments.MetricForBestModel ?? "loss");

    /// <summary>Trains from the newest checkpoint of the run, or from the start, to the end of the plan or until <paramref name="stop"/>.</summary>
    /// <exception cref="FaultException">When it has diverged or lacks memory, and cannot help itself.</exception>
    public TrainingEnd Train(CancellationToken stop)
    {
        try
        {
            return TrainToTheEnd(stop);
        }
        catch (DivergedException diverged) when (parts.Ranks.IsFirst) // they all see it
        {
            _control.Tell(NotANumber.Tell(Arguments, diverged.Message, diverged.Step));
            Emit(RunAdaptation.LowerLearningRate(parts.Folder, Arguments, diverged.Message, Beginning));
            return TrainingEnd.Restart;
        }
        catch (Exception error) when (OutOfMemory.Is(error))
        {
            MemoryLimit.Lift();
            Emit(RunAdaptation.LessMemory(parts.Folder, Arguments, parts.Task.Train.RowsPerEpoch, $"Memory ran out after step {_state.GlobalStep}: {OutOfMemory.Describe(error)}", Beginning));
            return TrainingEnd.Restart;
        }
    }

    /// <summary>Where an attempt that followed would begin.</summary>
    private string Beginning => parts.Store.Steps is [.., var last] ? $"checkpoint-{last}" : "the start";

    private TrainingEnd TrainToTheEnd(CancellationToken stop)
    {
        var resumedAt = Resume();
        _pace = new Pace { Since = parts.Clock.GetTimestamp() };
        parts.Model.train();
        var sinceLog = new MetricSums(_state.Resume.SumsSinceLog, parts.Device);
        foreach (var microBatches in StepsAndOneMore())
        {
            var step = _state.GlobalStep;
            if (step != resumedAt && (step == 0 || step == Plan.TotalSteps || Plan.EvaluationIsDue(step)))
                Remember();
            if (step != resumedAt && Plan.EvaluationIsDue(step))
                Evaluate();
            var (stops, isEnough) = Agree(stop.IsCancellationRequested, _control.ShouldTrainingStop);
            if (step != resumedAt)
            {
                var ends = step == Plan.TotalSteps || isEnough;
                if (Plan.SaveIsDue(step) || ends || (stops && step > 0))
                    Save(final: ends, sinceLog);
                if (ends)
                    return Finish();
            }
            if (step == Plan.TotalSteps || _state.Resume.IsFinal)
                return Finish();
            if (stops)
                return Stopped();

            using var scope = NewDisposeScope();
            // Seeded per step, the noise of dropout is a function of seed and step: nothing to save, on any device.
            manual_seed(unchecked((Arguments.Seed * 1_000_003) + step + ((long)parts.Ranks.Rank << 40)));
            var learningRate = parts.Ranks.OfFirst(parts.Callbacks.Aggregate(Plan.LearningRate(step), (rate, callback) => callback.LearningRate(rate)));
            var means = _trainingStep.Run([.. microBatches!.Select(batch => batch.To(parts.Device))], learningRate);
            sinceLog.Add(means);

            _state.GlobalStep++;
            _state.Resume.StepsSinceLog++;
            _state.Epoch = Plan.Epoch(_state.GlobalStep);
            var seen = parts.Ranks.AddUp(microBatches!.Sum(batch => batch.Rows), microBatches!.Sum(batch => batch.Tokens));
            _state.NumInputTokensSeen += (long)seen[1];
            (_state.Resume.EvaluatedHere, _judged) = (null, null);
            _pace.Count((long)seen[0], (long)seen[1]);
            foreach (var batch in microBatches!)
                batch.Dispose();
            _watch.Add(_state.GlobalStep, _trainingStep.Losses, means[TrainingStep.GradNorm]);
            if (parts.Device.type == TorchSharp.DeviceType.CPU) // It has computed already, so that asking costs no wait.
                EnsureFinite();
            if (Plan.LogIsDue(_state.GlobalStep))
                Log(sinceLog, means[TrainingStep.GradNorm], learningRate);
            foreach (var callback in parts.Callbacks)
                callback.OnStepEnd(_state, _control);
            HostMemory.Collect();
            parts.Heartbeat.Beat();
        }
        throw new UnreachableException();
    }

    /// <summary>The most memory that this process has had of its own; null where the tensors lie on a GPU, which tells it to nobody here.</summary>
    private long? PeakMemory() => parts.Device.type == TorchSharp.DeviceType.CPU ? HostMemory.PeakBytes() : null;

    /// <summary>What one process wishes, all do, at the same step.</summary>
    private (bool Stops, bool IsEnough) Agree(bool stops, bool isEnough)
    {
        var wishes = parts.Ranks.AddUp(stops ? 1 : 0, isEnough ? 1 : 0);
        return (wishes[0] > 0, wishes[1] > 0);
    }

    /// <summary>The remaining steps' micro-batches, and null once more, for what is due after the last.</summary>
    private IEnumerable<IReadOnlyList<Batch>?> StepsAndOneMore() =>
        DataLoader.TrainingSteps(parts.Task.Train, Arguments, Plan, _state.GlobalStep, parts.Ranks).Append<IReadOnlyList<Batch>?>(null);

    /// <returns>The step of the checkpoint that training continues from, or null.</returns>
    private int? Resume()
    {
        var latest = parts.Store.Latest(refused => _control.Note("warning", "checkpoint_damaged", refused));
        parts.Store.SetAside(beyond: latest ?? -1);
        if (latest is { } step)
        {
            _state = parts.Checkpoint.Load(step, parts.Optimizer);
            foreach (var callback in parts.Callbacks)
                if (_state.StatefulCallbacks[callback.Name] is { } saved)
                    callback.LoadState(saved);
        }
        var (truncatedRows, truncatedTokens) = parts.Task.Truncated;
        Emit(new RunStarted
        {
            TotalSteps = Plan.TotalSteps,
            TrainRows = parts.Task.Train.RowsPerEpoch,
            ReplayedRows = parts.Task.Train.Replay?.Drawn ?? 0,
            ValidationRows = parts.Task.Validation?.Count ?? 0,
            TrainableParameters = parts.Model.parameters().Where(parameter => parameter.requires_grad).Sum(parameter => parameter.numel()),
            TotalParameters = parts.Model.ParameterCount,
            Device = parts.Device.ToString(),
            TruncatedRows = truncatedRows,
            TruncatedTokens = truncatedTokens,
            RepeatedRows = parts.Task.Repeated.Rows,
            ContradictedRows = parts.Task.Repeated.Contradicted,
            ForecastMemoryBytes = parts.Forecast.PeakBytes,
        });
        if (!parts.Ranks.IsFirst)
            return latest;
        // Whoever died between a checkpoint and its line in the log has left one that nobody knows of, or more than there should be.
        if (latest is { } resumed && !parts.Store.IsTold(resumed))
            TellSaved();
        Prune();
        parts.Store.Sweep();
        return latest;
    }

    /// <summary>Before anything is told or kept of the steps so far.</summary>
    /// <exception cref="DivergedException">When a number of theirs is none.</exception>
    private void EnsureFinite()
    {
        if (_watch.Read() is not { } divergence)
            return;
        throw new DivergedException(divergence, DataLoader.RowsOf(parts.Task.Train, Arguments, Plan, divergence.Step - 1, parts.Ranks), parts.Task.Train);
    }

    private void Log(MetricSums sinceLog, Tensor gradNorm, double learningRate)
    {
        EnsureFinite();
        var metrics = sinceLog.Read().ToDictionary(sum => sum.Key, sum => sum.Value / _state.Resume.StepsSinceLog);
        metrics["grad_norm"] = gradNorm.ToDouble(); // The last step's, as transformers logs it.
        metrics["learning_rate"] = learningRate;
        foreach (var (name, value) in parts.Optimizer.Metrics)
            metrics[name] = value;
        metrics["num_input_tokens_seen"] = _state.NumInputTokensSeen;
        sinceLog.Clear();
        _state.Resume.StepsSinceLog = 0;
        _state.Log(metrics);
        var (samples, tokens, secondsPerStep) = _pace.Read(parts.Clock);
        metrics["samples_per_second"] = samples;
        metrics["tokens_per_second"] = tokens;
        metrics["resident_bytes"] = Environment.WorkingSet;
        if (PeakMemory() is { } peak)
            metrics[StepLogged.PeakMemory] = peak;
        Emit(new StepLogged { Metrics = metrics, EtaSeconds = secondsPerStep * (Plan.TotalSteps - _state.GlobalStep) });
    }

    private void Evaluate()
    {
        EnsureFinite();
        if (parts.Task.Validation is not { } validation || !parts.Ranks.IsFirst)
            return;
        using var averaged = parts.Optimizer.Average?.Use();
        var scores = WithForgetting(Score(parts.Task, validation, EvaluationMetric.Prefix));
        (_state.Resume.EvaluatedHere, _judged) = (new(scores.Metrics), scores.Outputs);
        _state.Log(scores.Metrics);
        Emit(new Evaluated { Split = "validation", Metrics = scores.Metrics, ConfusionMatrix = scores.ConfusionMatrix, Labels = scores.Labels });
        Speak();
        if (_state.GlobalStep == 0)
            return; // What the base model scores is for comparison only.
        foreach (var callback in parts.Callbacks)
            callback.OnEvaluate(_state, scores, _control);
    }

    private Scores WithForgetting(Scores scores) => Arguments.ForgettingWeight == 0 ? scores : scores with
    {
        Metrics = new Dictionary<string, double>(scores.Metrics)
        {
            [EvaluationMetric.Named(Probe.AwareLoss)] = scores.Metrics[EvaluationMetric.Named("loss")] + Arguments.ForgettingWeight * Probe.Rise(parts.Probes, _state.LogHistory),
        },
    };

    /// <summary>What the model knows of text that it does not learn; before an evaluation, whose callbacks look at it.</summary>
    private void Remember()
    {
        if (parts.Probes.Count == 0 || !parts.Ranks.IsFirst)
            return;
        EnsureFinite();
        using var averaged = parts.Optimizer.Average?.Use();
        foreach (var probe in parts.Probes)
        {
            var scores = Score(probe.Task, probe.Task.Train, probe.Prefix);
            _state.Log(scores.Metrics);
            Emit(new Evaluated { Split = probe.Split, Metrics = scores.Metrics });
        }
    }

    private void Speak()
    {
        if (parts.Samples is not { } samples)
            return;
        var started = parts.Clock.GetTimestamp();
        var texts = samples.Generate(parts.Model, parts.Device);
        _pace.Exclude(parts.Clock.GetElapsedTime(started));
        Emit(new Generated { Samples = texts });
    }

    private void Save(bool final, MetricSums sinceLog)
    {
        EnsureFinite();
        if (!parts.Ranks.IsFirst)
            return;
        using var averaged = parts.Optimizer.Average?.Use();
        var step = _state.GlobalStep;
        _state.Resume.SumsSinceLog = sinceLog.Read();
        var best = (final || Plan.SaveIsDue(step)) && IsBest(); // What a stop alone saves is no candidate: a run that was not stopped has none there.
        var bestBefore = (_state.BestGlobalStep, _state.BestMetric, _state.BestModelCheckpoint);
        if (best)
            (_state.BestGlobalStep, _state.BestMetric, _state.BestModelCheckpoint) = (step, _state.Resume.EvaluatedHere![MetricForBest], $"checkpoint-{step}");
        (_state.MaxSteps, _state.NumTrainEpochs, _state.TrainBatchSize) = (Plan.TotalSteps, Arguments.NumTrainEpochs.Resolved, Arguments.PerDeviceTrainBatchSize.Resolved);
        foreach (var callback in parts.Callbacks)
            if (callback.SaveState() is { } saved)
                _state.StatefulCallbacks[callback.Name] = saved;
        _state.Resume.IsFinal = final;
        if (!TrySave(final))
        {
            (_state.BestGlobalStep, _state.BestMetric, _state.BestModelCheckpoint) = bestBefore;
            return;
        }
        TellSaved();
        Prune();
    }

    private void TellSaved() => Emit(new CheckpointSaved
    {
        Path = $"checkpoints/checkpoint-{_state.GlobalStep}",
        Bytes = parts.Store.Bytes(_state.GlobalStep),
        Best = _state.BestGlobalStep == _state.GlobalStep,
        Final = _state.Resume.IsFinal,
        Metrics = _state.Resume.EvaluatedHere ?? [],
    });

    private void Prune()
    {
        foreach (var deleted in parts.Store.Prune(Arguments.SaveTotalLimit, _state.BestGlobalStep))
            parts.Emit(new CheckpointDeleted { Path = $"checkpoints/checkpoint-{deleted}", Step = deleted, Epoch = Plan.Epoch(deleted) });
    }

    /// <returns>False when the disk has no room for it: training goes on, and what was saved before is untouched.</returns>
    /// <exception cref="IOException">When that was the last chance.</exception>
    private bool TrySave(bool final)
    {
        try
        {
            parts.Store.Save(_state.GlobalStep, folder => parts.Checkpoint.Write(folder, _state, parts.Optimizer, Judged(final)));
            return true;
        }
        catch (Exception error) when (!final && FullDisk.Is(error))
        {
            Warn("checkpoint_not_saved", $"checkpoint-{_state.GlobalStep} has no room on the disk. Training goes on, and the next checkpoint is tried when it is due; until then the run can be resumed from {Beginning}.");
            return false;
        }
    }

    /// <summary>Of the last model also where no evaluation was due.</summary>
    private ClassifierOutputs? Judged(bool final)
    {
        if (_judged is null && final && parts.Task is { HasClasses: true, Validation: { } validation })
            _judged = Score(parts.Task, validation, EvaluationMetric.Prefix).Outputs;
        return _judged is { IsFinite: true } ? _judged : null;
    }

    private bool IsBest()
    {
        if (_state.Resume.EvaluatedHere is null)
            return false;
        var value = TrainerCallback.MetricOf(_state.Resume.EvaluatedHere, MetricForBest);
        return _state.BestMetric is not { } best || (Arguments.GreaterIsBetter == true ? value > best : value < best);
    }

    /// <summary>Scores the test split with the weights that are the result, and closes the log.</summary>
    private TrainingEnd Finish()
    {
        if (!parts.Ranks.IsFirst)
            return TrainingEnd.Completed;
        foreach (var callback in parts.Callbacks)
            callback.OnTrainEnd(_state, _control);
        using var averaged = parts.Optimizer.Average?.Use();
        if (Arguments.LoadBestModelAtEnd && _state.BestGlobalStep is { } best && best != _state.GlobalStep)
        {
            if (parts.Store.Damage(best) is { } damage)
            {
                Warn("checkpoint_damaged", $"checkpoint-{best}, the best, is passed over: {damage}. The last one is the result.");
                (_state.BestGlobalStep, _state.BestMetric, _state.BestModelCheckpoint) = (null, null, null);
            }
            else
                parts.Checkpoint.LoadWeights(best);
        }
        var metrics = new Dictionary<string, double>(_state.Resume.EvaluatedHere ?? []);
        if (parts.Task.Test is { } test)
        {
            var scores = Score(parts.Task, test, "test_");
            Emit(new Evaluated { Split = "test", Metrics = scores.Metrics, ConfusionMatrix = scores.ConfusionMatrix, Labels = scores.Labels });
            foreach (var (name, value) in scores.Metrics)
                metrics[name] = value;
        }
        Emit(new RunSucceeded
        {
            FinalStep = _state.GlobalStep,
            BestStep = _state.BestGlobalStep,
            BestMetricName = _state.BestGlobalStep is null ? null : MetricForBest,
            BestMetric = _state.BestMetric,
            Metrics = metrics,
            PeakMemoryBytes = PeakMemory(),
        });
        return TrainingEnd.Completed;
    }

    private TrainingEnd Stopped()
    {
        Emit(new RunStopped { Reason = $"Stopped on request after step {_state.GlobalStep}." });
        return TrainingEnd.Stopped;
    }

    private Scores Score(TrainingTask task, ExampleSet rows, string prefix)
    {
        var started = parts.Clock.GetTimestamp();
        var scores = parts.EvaluationBatches.Fit(size => Evaluation.Run(parts.Model, task, rows, size, parts.Device, prefix, parts.Clock, parts.Heartbeat.Beat));
        _pace.Exclude(parts.Clock.GetElapsedTime(started));
        return scores;
    }

    private void Warn(string code, string message) => Emit(new Noted { Level = "warning", Code = code, Message = message });

    private void Emit(TrainingEvent happened) => parts.Emit(happened with { Step = _state.GlobalStep, Epoch = _state.Epoch });
}
