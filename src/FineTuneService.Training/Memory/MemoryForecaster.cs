using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Models.Layers;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Memory;

/// <summary>Goes through the moments of a run's life, see <see cref="Trainer"/>, <see cref="Checkpoints.Checkpoint"/> and <see cref="Checkpoints.ExportVerification"/>.</summary>
internal sealed class MemoryForecaster
{
    /// <summary>What MKL and oneDNN keep of the matrices that they have packed for a product: 18 to 45 MB in the grid of <c>tests/bench</c>.</summary>
    private const long PackedMatrices = 30 << 20;

    public const string TrainingStep = "training_step", OptimizerStep = "optimizer_step", Evaluation = "evaluation";

    private readonly JobSpec _spec;
    private readonly PretrainedConfig _config;
    private readonly ModelHead _head;
    private readonly ParameterPlan _plan;
    private readonly Workload _workload;
    private readonly int _width;
    private readonly bool _keepsShort;

    public MemoryForecaster(JobSpec spec, PretrainedConfig config, Workload workload)
    {
        var task = (TrainingTaskConfig)spec.Task;
        (_spec, _workload, _head) = (spec, workload, task.Head);
        _width = spec.Training.MixedPrecision == MixedPrecision.No ? 4 : 2;
        if (config is ElectraConfig electra && task is ReplacedTokenDetectionConfig { Generator: var generator })
            config = electra with { Generator = new(generator.Size, generator.ShareEmbeddings) };
        if (workload.Labels is { } labels)
            config = config with { LabelsById = Enumerable.Range(0, labels).ToDictionary(label => $"{label}", label => $"LABEL_{label}") };
        if (!config.Heads.ContainsKey(_head))
            throw new FaultException([PretrainedConfig.NoHead(config.ModelType, _head, config.Heads.Keys)]);
        _config = config;
        _plan = new(spec.Method ?? new FullFineTuningConfig(), config, _head, workload.IsStored ?? (_ => config.Head == _head));
        Draw(new Meter(), TrainingShape, _ => { }, records: false);
        _plan.Decide();
        var takesAnyForm = workload.IsOnHost && Training.Optim is not (OptimizerName.Sgd or OptimizerName.Adafactor);
        _keepsShort = takesAnyForm && Training.MixedPrecision == MixedPrecision.Bf16 && !IsSecond;
        foreach (var slot in Slots)
            slot.ComesByRows = takesAnyForm && slot is { Kind: SlotKind.Embedding, IsTrained: true, Count: >= RowGradient.Smallest };
        Draw(new Meter(), TrainingShape, _ => { }, records: false);
    }

    public IReadOnlyCollection<ParameterSlot> Slots => _plan.Slots;

    private TrainingArguments Training => _spec.Training;

    /// <summary>Whether a step has more than one micro-batch.</summary>
    private bool IsSecond => Training.GradientAccumulationSteps > 1 || _workload.MicroBatchSize is not null;

    private long MaxLength => Training.MaxLength.Value ?? Math.Min(SpecResolver.UsualMaxLength, _config.MaxLength);

    /// <summary>Whether <see cref="MasterWeights"/> has a parameter in fp32.</summary>
    private bool HasMaster(ParameterSlot slot) => _width != 4 && !slot.IsQuantized && (slot.IsTrained || _spec.Method is null or FullFineTuningConfig);

    private PassShape TrainingShape
    {
        get
        {
            var rows = Math.Min(_workload.MicroBatchSize ?? Training.PerDeviceTrainBatchSize.Resolved, _workload.TrainRows);
            var length = Math.Min(_workload.LongestRow ?? MaxLength, MaxLength);
            var batches = Training.MaxSteps is > 0 and var steps ? steps : Training.NumTrainEpochs.Resolved * _workload.TrainRows / rows;
            var tokens = Training.TrainSamplingStrategy == TrainSamplingStrategy.GroupByLength ? null : _workload.FullestBatch(rows, length, batches);
            return new(Pass.Training, RowsOf(rows), length, _width)
            {
                RealTokens = tokens <= PaddedRows.WorthPacking * rows * length ? tokens : null,
                Drops = _spec.Task is not DpoConfig,
                IsMasked = _workload.IsMasked,
                GradientCheckpointing = Training.GradientCheckpointing,
                KeptShare = KeptShare,
                KnowsLossFactor = _spec.Task is not DpoConfig,
                ComparesWithBase = Training.KlToBaseWeight > 0,
            };
        }
    }

    private PassShape EvaluationShape => new(Pass.Evaluation, RowsOf(Math.Min(Training.PerDeviceEvalBatchSize, _workload.EvaluatedRows ?? long.MaxValue)), Math.Min(_workload.LongestEvaluated ?? MaxLength, MaxLength), _width)
    {
        IsMasked = _workload.IsMasked,
        KeptShare = KeptShare,
    };

    private PassShape VerificationShape => new(Pass.Verification, RowsOf(1), Math.Min(_workload.FirstRow ?? _workload.LongestRow ?? MaxLength, MaxLength), _width) { KeptShare = KeptShare };

    private double KeptShare => _spec.Task switch
    {
        MaskedLanguageModelConfig masked => masked.MlmProbability,
        ReplacedTokenDetectionConfig replaced => replaced.MlmProbability,
        _ => 1,
    };

    public MemoryForecast Forecast()
    {
        var frozen = Sum(slot => HasMaster(slot) || slot.IsTrained ? 0 : slot.IsQuantized ? slot.PackedBytes(_plan.DoubleQuant) : _width * slot.Count);
        var trained = Sum(slot => HasMaster(slot) || slot.IsTrained ? 4 * slot.Count : 0);
        var copies = Sum(slot => HasMaster(slot) ? _width * slot.Count : 0);
        var tokens = TrainingShape.Tokens * Training.GradientAccumulationSteps;
        var gradients = Sum(slot => slot.IsTrained ? (IsKeptShort(slot) ? _width : 4) * slot.GradientCount(tokens) : 0);
        var trainable = Sum(slot => slot.IsTrained ? slot.Count : 0);
        var state = Sum(slot => slot.IsTrained ? slot.StateBytes(Training) : 0);
        var average = Training.EmaDecay is null ? 0 : 4 * trainable;
        var baseCopy = Training.KlToBaseWeight > 0 && _spec.Method is not LoraConfig ? Sum(slot => _width * slot.Count) : 0;
        var computing = frozen + trained + copies + state + average + baseCopy + PackedMatrices;
        var (step, activations, logits) = Step(gradients);
        var evaluates = Training.EvalStrategy != IntervalStrategy.No || Training.EvalOnStart || Training.ForgettingCheck || _spec.Dataset.Test is not null || _spec.Dataset.Earlier is { Count: > 0 };
        return new()
        {
            Parameters = Sum(slot => slot.Count),
            TrainableParameters = trainable,
            FrozenWeightBytes = frozen,
            TrainedWeightBytes = trained,
            WeightCopyBytes = copies,
            GradientBytes = gradients,
            OptimizerStateBytes = state,
            WeightAverageBytes = average,
            BaseCopyBytes = baseCopy,
            ActivationBytes = activations,
            LogitBytes = logits,
            Moments =
            [
                new("load", Math.Max(Load(frozen + trained + copies), baseCopy == 0 ? 0 : frozen + trained + copies + Sum(slot => 4 * slot.Count))),
                new(TrainingStep, computing + step),
                new(OptimizerStep, computing + gradients + Slots.Where(slot => slot.IsTrained).Max(slot => slot.UpdateBytes(Training, _workload.IsOnHost))),
                .. evaluates ? [new(Evaluation, computing + Evaluate())] : Array.Empty<MemoryMoment>(),
                new("checkpoint", computing + Checkpoint()),
            ],
        };
    }

    /// <summary>A model comes to be in fp32; <see cref="MasterWeights"/> are copied from it before it is shortened.</summary>
    private long Load(long loaded)
    {
        var full = Sum(slot => slot.IsQuantized ? slot.PackedBytes(_plan.DoubleQuant) : 4 * slot.Count);
        var masters = Sum(slot => HasMaster(slot) ? 4 * slot.Count : 0);
        return Math.Max(full + masters, loaded);
    }

    /// <returns>The most that a training step holds, gradients included; and what is held at the end of the model, and more at the end of the loss.</returns>
    private (long Peak, long ActivationBytes, long Logits) Step(long gradients)
    {
        var meter = new Meter();
        var there = new HashSet<ParameterSlot>();
        if (IsSecond)
            meter.Grow(gradients);
        var before = meter.Live;
        if (IsSecond && _width == 4)
            there.UnionWith(Slots); // added to what is there
        long hidden = 0, loss = 0;
        Draw(meter, TrainingShape, AddGradient, records: true, () => hidden = meter.Live - before, () => loss = meter.Live - before, Collect);
        return (meter.Peak, hidden, loss - hidden);

        void Collect()
        {
            if (_width != 4 && !IsSecond)
                meter.Grow(Sum(slot => slot.IsTrained && !IsKeptShort(slot) ? 4 * slot.GradientCount(TrainingShape.Tokens) : 0));
        }

        void AddGradient(ParameterSlot slot)
        {
            var bytes = _width * slot.GradientCount(TrainingShape.Tokens);
            if (there.Add(slot))
                meter.Grow(bytes);
            else
                meter.Touch(bytes);
        }
    }

    /// <summary>Whether its gradient stays in the type that it was computed in, see <see cref="Optimization.TrainedParameter.Collect"/>.</summary>
    private bool IsKeptShort(ParameterSlot slot) => _keepsShort && !slot.ComesByRows;

    private long Evaluate()
    {
        var meter = new Meter();
        Draw(meter, EvaluationShape, _ => { }, records: false);
        return meter.Peak;
    }

    /// <summary>Logits before, and after the files were read; then, where it is small enough, those of a second model.</summary>
    private long Checkpoint()
    {
        const long LargestSecondModel = 1L << 30;
        var meter = new Meter();
        var tape = new Tape(meter, _ => { }, records: false);
        var sketch = new Sketch(VerificationShape, _plan).On(tape);
        for (var time = 0; time < 2; time++)
            _config.Draw(sketch, _head);
        var logits = _config.Draw(sketch, _head); // A distance takes two tensors of this size.
        if (_config.StoredType != TorchSharp.torch.ScalarType.Float32 && _spec.Method is null or FullFineTuningConfig)
            meter.Grow(Sum(slot => 2 * slot.Count)); // rounded
        if (Sum(slot => _width * slot.Count) > LargestSecondModel || Slots.Any(slot => slot.IsQuantized))
            return meter.Peak;
        meter.Grow(Sum(slot => 4 * slot.Count));
        meter.Grow(2 * logits.Bytes);
        return meter.Peak;
    }

    private void Draw(Meter meter, PassShape shape, Action<ParameterSlot> addGradient, bool records, Action? atHead = null, Action? atLoss = null, Action? atEnd = null)
    {
        var tape = new Tape(meter, addGradient, records);
        var loss = _config.Draw(new Sketch(shape, _plan) { AtHead = atHead }.On(tape), _head);
        atLoss?.Invoke();
        if (records)
            tape.Backward(loss);
        atEnd?.Invoke();
        tape.Close();
    }

    private long RowsOf(long rows) => Workload.RowsOf(_spec.Task, rows);

    private long Sum(Func<ParameterSlot, long> bytes) => Slots.Sum(bytes);
}
