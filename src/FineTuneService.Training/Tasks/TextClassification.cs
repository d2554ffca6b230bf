using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Tasks;

/// <summary>Sorts texts, or pairs of texts, into classes; or scores them (regression).</summary>
[SpecType("text-classification")]
public sealed record TextClassificationConfig : TrainingTaskConfig
{
    /// <summary>Default: <c>multi_label_classification</c> when labels are lists, otherwise <c>single_label_classification</c>.</summary>
    public ProblemType? ProblemType { get; init; }

    /// <summary>
    /// How much a row counts in training, by its class: <c>"balanced"</c> (all classes together the same), a list in the order of the labels, or numbers by label.
    /// An evaluation's loss counts all rows alike.
    /// </summary>
    public JsonElement? ClassWeights { get; init; }

    /// <summary>γ of the focal loss: rows that are told well already count less, in training. 0 is plain cross-entropy.</summary>
    [Range(0.0, 10.0)]
    public double FocalGamma { get; init; }

    public override TrainingTask Load(DatasetSpec dataset, TrainingArguments arguments, Tokenizer tokenizer)
    {
        var data = TextClassificationData.Load(dataset, ProblemType, arguments.DataSeed ?? arguments.Seed);
        var faults = new FaultList();
        CheckLoss(data.ProblemType, arguments, faults);
        faults.ThrowIfAny();
        var weights = ClassWeights is { } given ? Tasks.ClassWeights.Of(given, data) : null;
        return new TextClassificationTask(data, tokenizer, arguments.MaxLength.Resolved, FocalGamma, weights) { LabelSmoothing = arguments.LabelSmoothingFactor };
    }

    public override TrainingTask LoadToScore(DatasetSpec dataset, TrainingArguments arguments, PretrainedConfig config, Tokenizer tokenizer) => new TextClassificationTask(
        TextClassificationData.Load(dataset, config.ProblemType ?? ProblemType, seed: 0, config.Labels), tokenizer, arguments.MaxLength.Resolved);

    public override ModelHead Head => ModelHead.SequenceClassification;

    public override DatasetSpec ResolveColumns(DatasetSpec dataset, ColumnResolver columns) => dataset with
    {
        TextColumn = columns.Required("text_column", dataset.TextColumn, "text", "sentence", "content", "sentence1", "premise", "question"),
        TextPairColumn = columns.Optional("text_pair_column", dataset.TextPairColumn),
        LabelColumn = columns.Required("label_column", dataset.LabelColumn, "label", "labels", "category", "intent", "class", "target", "score"),
    };

    public override IEnumerable<string> NeededColumns(DatasetSpec dataset) =>
        new[] { dataset.TextColumn, dataset.TextPairColumn, dataset.LabelColumn }.OfType<string>();

    public override void Check(DatasetProfile train, DatasetSpec dataset, FaultList faults) => TextClassificationData.Check(train, dataset, ProblemType, faults);

    /// <summary>Where the problem is guessed, this is told once the data are read.</summary>
    public override void CheckTraining(TrainingArguments training, FaultList faults)
    {
        if (ClassWeights is { } given)
            Tasks.ClassWeights.Check(given, faults);
        if (ProblemType is { } problem)
            CheckLoss(problem, training, faults);
    }

    private void CheckLoss(ProblemType problem, TrainingArguments training, FaultList faults)
    {
        var isSingle = problem == Tasks.ProblemType.SingleLabelClassification;
        faults.Require(
            isSingle || training.LabelSmoothingFactor == 0, "/training/label_smoothing_factor", training.LabelSmoothingFactor, "Labels can be smoothed where a row has exactly one.", "Leave it out.");
        faults.Require(isSingle || ClassWeights is null, "/task/class_weights", ClassWeights?.GetRawText(), "Rows can be weighed where each has exactly one class.", "Leave it out.");
        faults.Require(problem != Tasks.ProblemType.Regression || FocalGamma == 0, "/task/focal_gamma", FocalGamma, "A regression has no probability to focus on.", "Leave it out.");
    }
}

/// <summary>transformers' <c>problem_type</c>: decides labels, loss and metrics.</summary>
public enum ProblemType
{
    /// <summary>One class a row; cross-entropy.</summary>
    SingleLabelClassification,

    /// <summary>Any number of classes a row (a list, or names joined by '|'); binary cross-entropy per class.</summary>
    MultiLabelClassification,

    /// <summary>One number a row; mean squared error.</summary>
    Regression,
}

public sealed class TextClassificationTask : TrainingTask
{
    private readonly TextClassificationData _data;
    private readonly TokenizedTexts _train;
    private readonly int? _padding;
    private readonly double _focalGamma;

    /// <param name="weights">Of the training rows; null: all 1.</param>
    public TextClassificationTask(TextClassificationData data, Tokenizer tokenizer, int maxLength, double focalGamma = 0, float[]? weights = null)
    {
        (_data, _padding, _focalGamma) = (data, tokenizer.PaddingId, focalGamma);
        _train = Tokenize(data.Train, weights)!;
        Validation = Tokenize(data.Validation);
        Test = Tokenize(data.Test);

        TokenizedTexts? Tokenize(IReadOnlyList<LabelledText> rows, float[]? weights = null) => rows.Count == 0
            ? null
            : new([.. rows.Select(row => (row.Text, row.Pair))], [.. rows.Select(Target)], data.ProblemType, tokenizer, maxLength) { Weights = weights };
    }

    public override ExampleSet Train => _train;

    public override ExampleSet? Validation { get; }

    public override ExampleSet? Test { get; }

    public override (int Rows, long Tokens) Truncated => _train.Truncated;

    public override IEnumerable<string> Notes => _data.Ledgers.Select(ledger => ledger.ToString());

    /// <exception cref="FaultException">When the last token of a padded row could not be told from padding.</exception>
    public override PretrainedConfig Configure(PretrainedConfig config) => config with
    {
        PadTokenId = config.JudgesLastToken ? PaddingOf(config) : config.PadTokenId,
        ProblemType = _data.ProblemType,
        LabelsById = _data.Labels.Index().ToDictionary(label => label.Index.ToString(CultureInfo.InvariantCulture), label => label.Item),
    };

    public override TaskLoss Loss(PretrainedModel model, Batch batch) => new(
        ClassificationLoss.Sum(_data.ProblemType, model.call(batch.Inputs), batch.Labels, LabelSmoothing, _focalGamma, batch.Weights));

    public override Scorer CreateScorer() => ClassificationScorer.For(_data.ProblemType, _data.Labels);

    /// <summary>transformers finds the last token by this id, in batches of its own tokenizer's padding.</summary>
    private int PaddingOf(PretrainedConfig config) => _padding < config.VocabSize ? _padding.Value : throw new FaultException(
        "/base_model", _padding?.ToString(CultureInfo.InvariantCulture), "The tokenizer has no token to pad with that the model knows, and this family judges a text by its last token before the padding.",
        "Name pad_token or eos_token in its tokenizer_config.json.");

    /// <summary>One class id; or 0/1 per class; or the number.</summary>
    private float[] Target(LabelledText row) => _data.ProblemType switch
    {
        ProblemType.SingleLabelClassification => [_data.LabelIds[row.Labels[0]]],
        ProblemType.MultiLabelClassification => [.. _data.Labels.Select(label => row.Labels.Contains(label) ? 1f : 0f)],
        _ => [(float)row.Value],
    };
}
