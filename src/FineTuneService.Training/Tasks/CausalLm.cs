using System.ComponentModel.DataAnnotations;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Tasks;

/// <summary>Goes on with pre-training on texts of a domain: every token is learnt.</summary>
[SpecType("causal-lm")]
public sealed record CausalLmConfig : LanguageModelTaskConfig
{
    /// <summary>Put several documents into one row of <c>max_length</c> tokens, so that nothing is padded; attention and labels never leave a document. TRL: false.</summary>
    public bool Packing { get; init; } = true;

    /// <summary>A text that ends a document: a row that holds it is as many documents. Default: every row is one document.</summary>
    [Length(1, 64)]
    public string? DocumentSeparator { get; init; }

    public override DatasetSpec ResolveColumns(DatasetSpec dataset, ColumnResolver columns) => dataset with
    {
        TextColumn = columns.Required("text_column", dataset.TextColumn, "text", "content", "document", "sentence"),
    };

    public override IEnumerable<string> NeededColumns(DatasetSpec dataset) => new[] { dataset.TextColumn }.OfType<string>();

    public override void Check(DatasetProfile train, DatasetSpec dataset, FaultList faults)
    {
        if (train.Columns.FirstOrDefault(column => column.Name == dataset.TextColumn) is { } text)
            faults.Require(text.Empty < train.Rows, "/dataset/text_column", text.Name, "Every row of this column is empty.", "Name the column with the text.");
    }

    public override TrainingTask Load(DatasetSpec dataset, TrainingArguments arguments, Tokenizer tokenizer)
    {
        var documents = new DocumentReader(dataset.TextColumn!, DocumentSeparator, tokenizer);
        var splits = DatasetSplits.Load(dataset, arguments.DataSeed ?? arguments.Seed, documents.Read);
        var maxLength = arguments.MaxLength.Resolved;
        return new CausalLmTask(splits, Packing, tokenizer, maxLength) { SamplePrompts = PromptsOf(splits.Validation, new(tokenizer, template: null), asMessages: false, tokenizer, maxLength), LabelSmoothing = arguments.LabelSmoothingFactor };
    }
}

/// <summary>Long documents are split, never cut: no token is lost.</summary>
internal sealed class CausalLmTask(DatasetSplits<TokenSequence> documents, bool packing, Tokenizer tokenizer, int maxLength)
    : LanguageModelTask(Pieces(documents, maxLength), packing, tokenizer, maxLength)
{
    public override (int Rows, long Tokens) Truncated => (0, 0);

    private static DatasetSplits<TokenSequence> Pieces(DatasetSplits<TokenSequence> splits, int maxLength)
    {
        return splits with { Train = Split(splits.Train), Validation = Split(splits.Validation), Test = Split(splits.Test) };

        IReadOnlyList<TokenSequence> Split(IReadOnlyList<TokenSequence> texts) => [.. texts.SelectMany(text => text.Split(maxLength))];
    }
}
