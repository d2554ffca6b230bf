using System.Collections.ObjectModel;
using System.Text.Json.Serialization;
using FineTuneService.Contracts;
using FineTuneService.Training.Assessment;
using FineTuneService.Training.Data;
using FineTuneService.Training.Generation;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tokenization;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tasks;

/// <summary>A task's options, and the way to its rows.</summary>
public abstract record TrainingTaskConfig : TaskConfig
{
    /// <param name="dataset">With paths, and its columns resolved.</param>
    /// <param name="cache">Where the rows may lie tokenized already; null: they are made anew.</param>
    /// <exception cref="FaultException">With file and line of each fault in the data.</exception>
    public TrainingTask Load(DatasetSpec dataset, TrainingArguments arguments, Tokenizer tokenizer, DatasetCache? cache = null)
    {
        void Build(DatasetDraft draft) => Tokenize(dataset, arguments, tokenizer, draft, null);
        Check(tokenizer);
        var data = cache is null ? TokenizedDataset.Build(Build) : cache.Get(DatasetKey.Of(RowOptions, dataset, arguments, tokenizer), Build);
        var task = Create(data, arguments, tokenizer);
        task.LabelSmoothing = arguments.LabelSmoothingFactor;
        if (dataset.Replay is { } replay)
            task.Train.Replay = ReplayMix.Of(replay.Fraction, task.Train.Count, data.Facts.ReplayRows, arguments.DataSeed ?? arguments.Seed);
        return task;
    }

    /// <summary>All rows of one file, in the place of training rows, to score a model on them that has learnt this task: with the labels that it knows, and as its evaluations scored.</summary>
    /// <exception cref="FaultException">With file and line of each fault, such as a label that the model does not know.</exception>
    public TrainingTask LoadToScore(DatasetSpec dataset, TrainingArguments arguments, PretrainedConfig config, Tokenizer tokenizer)
    {
        Check(tokenizer);
        var task = ToScore;
        return task.Create(TokenizedDataset.Build(draft => task.Tokenize(dataset, arguments, tokenizer, draft, config)), arguments, tokenizer);
    }

    /// <summary>Reads the files into a draft, rows and facts.</summary>
    /// <param name="learnt">Of a model that has learnt the task already, with its labels; null: the training rows say what there is to learn.</param>
    private protected abstract void Tokenize(DatasetSpec dataset, TrainingArguments arguments, Tokenizer tokenizer, DatasetDraft draft, PretrainedConfig? learnt);

    /// <summary>The task over its rows.</summary>
    private protected abstract TrainingTask Create(TokenizedDataset data, TrainingArguments arguments, Tokenizer tokenizer);

    /// <summary>This task with the defaults in place of all options that rows do not depend on: where it is equal, so are tokenized rows.</summary>
    private protected virtual TrainingTaskConfig RowOptions => this;

    /// <summary>This task without what makes its training rows differ from those that it is evaluated on.</summary>
    private protected virtual TrainingTaskConfig ToScore => this;

    /// <exception cref="FaultException">When the tokenizer lacks what the task needs.</exception>
    private protected virtual void Check(Tokenizer tokenizer) { }

    /// <summary>What the base model must have, or gets.</summary>
    [JsonIgnore]
    public abstract ModelHead Head { get; }

    /// <summary>Whether rows of an earlier dataset can be learnt among those of a new one.</summary>
    [JsonIgnore]
    public virtual bool CanReplay => false;

    /// <summary>The columns that this task reads, guessed by their usual names where the specification is silent; faults go to <paramref name="columns"/>.</summary>
    public abstract DatasetSpec ResolveColumns(DatasetSpec dataset, ColumnResolver columns);

    /// <summary>Columns that every split must have, once they are resolved.</summary>
    public abstract IEnumerable<string> NeededColumns(DatasetSpec dataset);

    /// <summary>Collects why first weights cannot come from there.</summary>
    public virtual void CheckInit(WeightsFrom init, FaultList faults) { }

    /// <summary>Collects why this cannot be learnt so.</summary>
    public virtual void CheckMethod(TrainingMethodConfig method, FaultList faults) { }

    /// <summary>Collects training arguments that this task cannot follow.</summary>
    public virtual void CheckTraining(TrainingArguments training, FaultList faults) { }

    /// <summary>The checks that a profile of the training file allows, before a job is accepted.</summary>
    public virtual void Check(DatasetProfile train, DatasetSpec dataset, FaultList faults) { }
}

/// <summary>What is learnt: the rows, the head that a model needs for them, the loss and the metrics.</summary>
public abstract class TrainingTask
{
    public abstract ExampleSet Train { get; }

    /// <summary>Null when nothing is held out.</summary>
    public abstract ExampleSet? Validation { get; }

    public abstract ExampleSet? Test { get; }

    /// <summary>Rows cut to the maximal length, and the tokens lost by it.</summary>
    public abstract (int Rows, long Tokens) Truncated { get; }

    /// <summary>Training rows whose text is there more than once, and those of them that have another label than most of their kind.</summary>
    public virtual (int Rows, int Contradicted) Repeated => default;

    /// <summary>Whether <see cref="Scores.Outputs"/> tell of classes, so that a checkpoint can be calibrated.</summary>
    public virtual bool HasClasses => false;

    /// <summary>Facts about the data that a person should read before the first step.</summary>
    public virtual IEnumerable<string> Notes => [];

    /// <summary>A few rows as tokens with their loss mask, kept with the run; none where tokens are not what is learnt.</summary>
    public virtual IReadOnlyList<TokenSample> Samples => [];

    /// <summary>Share of a label that training spreads over all classes, where labels are classes. Scorers know nothing of it.</summary>
    public double LabelSmoothing { get; internal set; }

    /// <summary>Holds training near the base model; null: nothing does. Scorers know nothing of it.</summary>
    public KlToBase? KlToBase { get; internal set; }

    /// <summary>What the model is asked at every evaluation; null: it does not speak, or nobody asks.</summary>
    public SamplePrompts? SamplePrompts { get; init; }

    /// <summary>The chat template that the result is to be used with; null: the base model's.</summary>
    public virtual string? ChatTemplate => null;

    /// <summary>The base model's configuration, with what this task adds, such as its labels.</summary>
    public virtual PretrainedConfig Configure(PretrainedConfig config) => config;

    /// <summary>Whether the loss compares with the base model, so that <see cref="Prepare"/> must be given it.</summary>
    public virtual bool NeedsReference => false;

    /// <summary>Called once an attempt, with the base model on its device, before anything is trained or a checkpoint is read.</summary>
    public virtual void Prepare(PretrainedModel model, RunFolder folder, int batchSize, Device device) { }

    /// <summary>One forward pass and its loss.</summary>
    public abstract TaskLoss Loss(PretrainedModel model, Batch batch);

    public abstract Scorer CreateScorer();
}

/// <summary>The loss of one batch, summed (not averaged) over its targets: a scalar that has not been waited for.</summary>
public readonly record struct TaskLoss(Tensor Sum)
{
    /// <summary>What else is logged with the loss, such as <c>mean_token_accuracy</c>: scalars, summed over the targets as the loss is.</summary>
    public IReadOnlyDictionary<string, Tensor> Metrics { get; init; } = ReadOnlyDictionary<string, Tensor>.Empty;
}

/// <summary>Collects what one pass over a split gives and turns it into metrics. Called without gradients, in evaluation mode.</summary>
public abstract class Scorer
{
    public abstract void Add(PretrainedModel model, Batch batch);

    public abstract Scores Compute();
}

/// <summary>Metrics by name, without prefix; the confusion matrix (rows true, columns predicted) where classes exclude each other.</summary>
public sealed record Scores(IReadOnlyDictionary<string, double> Metrics, int[][]? ConfusionMatrix = null, string[]? Labels = null)
{
    /// <summary>What a classifier of texts said of every row; null for other tasks.</summary>
    public ClassifierOutputs? Outputs { get; init; }
}
