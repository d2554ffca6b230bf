using System.ComponentModel.DataAnnotations;
using System.Globalization;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Tasks;

/// <summary>Sorts every word into a class: named entities, parts of speech. Rows are lists of words and of tags.</summary>
[SpecType("token-classification")]
public sealed record TokenClassificationConfig : TrainingTaskConfig
{
    /// <summary>Names of the tags in the order of their numbers, where the file has numbers: <c>["O", "B-PER", "I-PER"]</c>. Default: the tags of the training rows, sorted.</summary>
    [Length(2, 1000)]
    public IReadOnlyList<string>? LabelNames { get; init; }

    /// <summary>Whether every token of a word is learnt, not only its first. Scores count first tokens in any case.</summary>
    public bool LabelAllTokens { get; init; }

    public override ModelHead Head => ModelHead.TokenClassification;

    public override TrainingTask Load(DatasetSpec dataset, TrainingArguments arguments, Tokenizer tokenizer)
    {
        var data = TaggedWordsData.Load(dataset, LabelNames, arguments.DataSeed ?? arguments.Seed);
        return new TokenClassificationTask(data, LabelAllTokens, tokenizer, arguments.MaxLength.Resolved) { LabelSmoothing = arguments.LabelSmoothingFactor };
    }

    public override TrainingTask LoadToScore(DatasetSpec dataset, TrainingArguments arguments, PretrainedConfig config, Tokenizer tokenizer) => new TokenClassificationTask(
        TaggedWordsData.Load(dataset, config.Labels, seed: 0), LabelAllTokens, tokenizer, arguments.MaxLength.Resolved);

    public override DatasetSpec ResolveColumns(DatasetSpec dataset, ColumnResolver columns) => dataset with
    {
        TokensColumn = columns.Required("tokens_column", dataset.TokensColumn, "tokens", "words"),
        TagsColumn = columns.Required("tags_column", dataset.TagsColumn, "ner_tags", "tags", "labels", "pos_tags", "chunk_tags"),
    };

    public override IEnumerable<string> NeededColumns(DatasetSpec dataset) => new[] { dataset.TokensColumn, dataset.TagsColumn }.OfType<string>();

    public override void Check(DatasetProfile train, DatasetSpec dataset, FaultList faults)
    {
        foreach (var (field, name) in new[] { ("tokens_column", dataset.TokensColumn), ("tags_column", dataset.TagsColumn) })
            if (train.Columns.FirstOrDefault(column => column.Name == name) is { } column)
                faults.Require(
                    column.Kind == ColumnKind.List, $"/dataset/{field}", name, $"This task needs lists, and this column holds {column.Kind.ToString().ToLowerInvariant()} values.",
                    "Upload jsonl with a list of words and a list of tags in every row.");
    }
}

public sealed class TokenClassificationTask : TrainingTask
{
    private readonly TaggedWordsData _data;
    private readonly TaggedTexts _train;

    public TokenClassificationTask(TaggedWordsData data, bool labelAllTokens, Tokenizer tokenizer, int maxLength)
    {
        _data = data;
        var labelIds = data.Labels.Index().ToDictionary(label => label.Item, label => label.Index);
        _train = Tokenize(data.Splits.Train, labelAllTokens)!;
        (Validation, Test) = (Tokenize(data.Splits.Validation, false), Tokenize(data.Splits.Test, false));

        TaggedTexts? Tokenize(IReadOnlyList<TaggedWords> rows, bool all) => rows.Count == 0 ? null : new(rows, labelIds, all, tokenizer, maxLength);
    }

    public override ExampleSet Train => _train;

    public override ExampleSet? Validation { get; }

    public override ExampleSet? Test { get; }

    public override (int Rows, long Tokens) Truncated => _train.Truncated;

    public override IEnumerable<string> Notes => _data.Splits.Ledgers.Select(ledger => ledger.ToString());

    public override PretrainedConfig Configure(PretrainedConfig config) => config with
    {
        LabelsById = _data.Labels.Index().ToDictionary(label => label.Index.ToString(CultureInfo.InvariantCulture), label => label.Item),
    };

    public override TaskLoss Loss(PretrainedModel model, Batch batch) => new(LanguageModelLoss.Sum(model.call(batch.Inputs), batch.Labels, smoothing: LabelSmoothing));

    public override Scorer CreateScorer() => new TagScorer(_data.Labels);
}
