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

    private protected override TrainingTaskConfig ToScore => this with { LabelAllTokens = false };

    private protected override void Tokenize(DatasetSpec dataset, TrainingArguments arguments, Tokenizer tokenizer, DatasetDraft draft, PretrainedConfig? learnt)
    {
        var data = TaggedWordsData.Load(dataset, learnt?.Labels ?? LabelNames, arguments.DataSeed ?? arguments.Seed);
        var labelIds = data.Labels.Index().ToDictionary(label => label.Item, label => label.Index);
        var truncated = Write("train", data.Splits.Train, LabelAllTokens);
        Write("validation", data.Splits.Validation, false);
        Write("test", data.Splits.Test, false);
        draft.Facts = new() { Notes = [.. data.Splits.Ledgers.Select(ledger => ledger.ToString())], TruncatedRows = truncated.Rows, TruncatedTokens = truncated.Tokens, Labels = data.Labels };

        (int Rows, long Tokens) Write(string split, IReadOnlyList<TaggedWords> words, bool all)
        {
            var rows = new List<StoredRow>();
            var (truncatedRows, lostTokens) = (0, 0L);
            foreach (var (_, row) in words.MapInParallel(row => TaggedTexts.Tokenize(row, labelIds, all, tokenizer, arguments.MaxLength.Resolved)))
            {
                rows.Add(new(draft.Add(row.Ids, row.Labels)));
                truncatedRows += row.TruncatedTokens > 0 ? 1 : 0;
                lostTokens += row.TruncatedTokens;
            }
            draft.Write(split, rows);
            return (truncatedRows, lostTokens);
        }
    }

    private protected override TrainingTask Create(TokenizedDataset data, TrainingArguments arguments, Tokenizer tokenizer) => new TokenClassificationTask(data, tokenizer.PaddingId ?? 0);

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

public sealed class TokenClassificationTask(TokenizedDataset data, int padding) : TrainingTask
{
    public override ExampleSet Train { get; } = new TaggedTexts(data.Train, padding);

    public override ExampleSet? Validation { get; } = data.Validation is { } rows ? new TaggedTexts(rows, padding) : null;

    public override ExampleSet? Test { get; } = data.Test is { } rows ? new TaggedTexts(rows, padding) : null;

    public override (int Rows, long Tokens) Truncated => (data.Facts.TruncatedRows, data.Facts.TruncatedTokens);

    public override IEnumerable<string> Notes => data.Facts.Notes;

    public override PretrainedConfig Configure(PretrainedConfig config) => config with
    {
        LabelsById = data.Facts.Labels.Index().ToDictionary(label => label.Index.ToString(CultureInfo.InvariantCulture), label => label.Item),
    };

    public override TaskLoss Loss(PretrainedModel model, Batch batch) => new(LanguageModelLoss.Sum(model.call(batch.Inputs), batch.Labels, smoothing: LabelSmoothing));

    public override Scorer CreateScorer() => new TagScorer(data.Facts.Labels);
}
