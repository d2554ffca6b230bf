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

    private protected override void Tokenize(DatasetSpec dataset, TrainingArguments arguments, Tokenizer tokenizer, DatasetDraft draft, PretrainedConfig? learnt) => TextClassificationData
        .Load(dataset, learnt?.ProblemType ?? ProblemType, arguments.DataSeed ?? arguments.Seed, new(draft, tokenizer, arguments.MaxLength.Resolved), learnt?.Labels)
        .WriteTo(draft);

    private protected override TrainingTaskConfig RowOptions => new TextClassificationConfig { ProblemType = ProblemType };

    private protected override TrainingTaskConfig ToScore => this with { ClassWeights = null };

    private protected override TrainingTask Create(TokenizedDataset data, TrainingArguments arguments, Tokenizer tokenizer)
    {
        var faults = new FaultList();
        CheckLoss(data.Facts.ProblemType!.Value, arguments, faults);
        faults.ThrowIfAny();
        return new TextClassificationTask(data, tokenizer.PaddingId, FocalGamma, ClassWeights is { } given ? Tasks.ClassWeights.Of(given, data) : null);
    }

    public override ModelHead Head => ModelHead.SequenceClassification;

    /// <summary>The usual names of two texts that are judged together (GLUE's, and text_pair). They are looked for first, and only where no text is named: whoever names one alone wants it alone.</summary>
    private static readonly (string Text, string Pair)[] Pairs =
        [("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2"), ("question", "sentence"), ("question", "passage"), ("text", "text_pair"), ("text1", "text2")];

    public override DatasetSpec ResolveColumns(DatasetSpec dataset, ColumnResolver columns)
    {
        var pairs = dataset.TextColumn is null ? Pairs.Where(pair => columns.Has(pair.Text) && columns.Has(pair.Pair)).Take(1).ToArray() : [];
        return dataset with
        {
            TextColumn = columns.Required("text_column", dataset.TextColumn, [.. pairs.Select(pair => pair.Text), "text", "sentence", "content", "sentence1", "premise", "question"]),
            TextPairColumn = columns.Optional("text_pair_column", dataset.TextPairColumn, [.. pairs.Select(pair => pair.Pair)]),
            LabelColumn = columns.Required("label_column", dataset.LabelColumn, "label", "labels", "category", "intent", "class", "target", "score"),
        };
    }

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

/// <param name="padding">Id of the padding token, if there is one.</param>
/// <param name="classWeights">Of training rows, by class; null: all 1.</param>
public sealed class TextClassificationTask(TokenizedDataset data, int? padding, double focalGamma = 0, float[]? classWeights = null) : TrainingTask
{
    private readonly ProblemType _problemType = data.Facts.ProblemType!.Value;

    public override ExampleSet Train { get; } = Of(data, data.Train, padding, classWeights)!;

    public override ExampleSet? Validation { get; } = Of(data, data.Validation, padding);

    public override ExampleSet? Test { get; } = Of(data, data.Test, padding);

    public override (int Rows, long Tokens) Truncated => (data.Facts.TruncatedRows, data.Facts.TruncatedTokens);

    public override (int Rows, int Contradicted) Repeated => (data.Facts.RepeatedRows, data.Facts.ContradictedRows);

    public override bool HasClasses => _problemType != ProblemType.Regression;

    public override IEnumerable<string> Notes => data.Facts.Notes;

    /// <exception cref="FaultException">When the last token of a padded row could not be told from padding.</exception>
    public override PretrainedConfig Configure(PretrainedConfig config) => config with
    {
        PadTokenId = config.JudgesLastToken ? PaddingOf(config) : config.PadTokenId,
        ProblemType = _problemType,
        LabelsById = data.Facts.Labels.Index().ToDictionary(label => label.Index.ToString(CultureInfo.InvariantCulture), label => label.Item),
    };

    public override TaskLoss Loss(PretrainedModel model, Batch batch) => new(
        ClassificationLoss.Sum(_problemType, model.call(batch.Inputs), batch.Labels, LabelSmoothing, focalGamma, batch.Weights));

    public override Scorer CreateScorer() => ClassificationScorer.For(_problemType, data.Facts.Labels);

    /// <summary>transformers finds the last token by this id, in batches of its own tokenizer's padding.</summary>
    private int PaddingOf(PretrainedConfig config) => padding < config.VocabSize ? padding.Value : throw new FaultException(
        "/base_model", padding?.ToString(CultureInfo.InvariantCulture), "The tokenizer has no token to pad with that the model knows, and this family judges a text by its last token before the padding.",
        "Name pad_token or eos_token in its tokenizer_config.json.");

    private static TokenizedTexts? Of(TokenizedDataset data, TokenRows? rows, int? padding, float[]? classWeights = null) =>
        rows is null ? null : new(rows, data.Facts.ProblemType!.Value, padding ?? 0) { ClassWeights = classWeights };
}
