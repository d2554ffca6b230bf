using System.Globalization;
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

    public override TrainingTask Load(DatasetSpec dataset, TrainingArguments arguments, Tokenizer tokenizer) => new TextClassificationTask(
        TextClassificationData.Load(dataset, ProblemType, arguments.DataSeed ?? arguments.Seed), tokenizer, arguments.MaxLength.Resolved);

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

    public TextClassificationTask(TextClassificationData data, Tokenizer tokenizer, int maxLength)
    {
        (_data, _padding) = (data, tokenizer.PaddingId);
        _train = Tokenize(data.Train)!;
        Validation = Tokenize(data.Validation);
        Test = Tokenize(data.Test);

        TokenizedTexts? Tokenize(IReadOnlyList<LabelledText> rows) => rows.Count == 0
            ? null
            : new([.. rows.Select(row => (row.Text, row.Pair))], [.. rows.Select(Target)], data.ProblemType, tokenizer, maxLength, [.. rows.Select(row => row.Line)]);
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

    public override TaskLoss Loss(PretrainedModel model, Batch batch) => new(ClassificationLoss.Sum(_data.ProblemType, model.call(batch.Inputs), batch.Labels));

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
