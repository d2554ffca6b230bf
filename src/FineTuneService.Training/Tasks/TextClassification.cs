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

    private protected override void Tokenize(DatasetSpec dataset, TrainingArguments arguments, Tokenizer tokenizer, DatasetDraft draft, PretrainedConfig? learnt) => TextClassificationData
        .Load(dataset, learnt?.ProblemType ?? ProblemType, arguments.DataSeed ?? arguments.Seed, new(draft, tokenizer, arguments.MaxLength.Resolved), learnt?.Labels)
        .WriteTo(draft);

    private protected override TrainingTask Create(TokenizedDataset data, TrainingArguments arguments, Tokenizer tokenizer) => new TextClassificationTask(data, tokenizer.PaddingId);

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

public sealed class TextClassificationTask(TokenizedDataset data, int? padding) : TrainingTask
{
    private readonly ProblemType _problemType = data.Facts.ProblemType!.Value;

    public override ExampleSet Train { get; } = Of(data, data.Train, padding)!;

    public override ExampleSet? Validation { get; } = Of(data, data.Validation, padding);

    public override ExampleSet? Test { get; } = Of(data, data.Test, padding);

    public override (int Rows, long Tokens) Truncated => (data.Facts.TruncatedRows, data.Facts.TruncatedTokens);

    public override IEnumerable<string> Notes => data.Facts.Notes;

    /// <exception cref="FaultException">When the last token of a padded row could not be told from padding.</exception>
    public override PretrainedConfig Configure(PretrainedConfig config) => config with
    {
        PadTokenId = config.JudgesLastToken ? PaddingOf(config) : config.PadTokenId,
        ProblemType = _problemType,
        LabelsById = data.Facts.Labels.Index().ToDictionary(label => label.Index.ToString(CultureInfo.InvariantCulture), label => label.Item),
    };

    public override TaskLoss Loss(PretrainedModel model, Batch batch) => new(ClassificationLoss.Sum(_problemType, model.call(batch.Inputs), batch.Labels));

    public override Scorer CreateScorer() => ClassificationScorer.For(_problemType, data.Facts.Labels);

    /// <summary>transformers finds the last token by this id, in batches of its own tokenizer's padding.</summary>
    private int PaddingOf(PretrainedConfig config) => padding < config.VocabSize ? padding.Value : throw new FaultException(
        "/base_model", padding?.ToString(CultureInfo.InvariantCulture), "The tokenizer has no token to pad with that the model knows, and this family judges a text by its last token before the padding.",
        "Name pad_token or eos_token in its tokenizer_config.json.");

    private static TokenizedTexts? Of(TokenizedDataset data, TokenRows? rows, int? padding) => rows is null ? null : new(rows, data.Facts.ProblemType!.Value, padding ?? 0);
}
