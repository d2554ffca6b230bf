using System.ComponentModel.DataAnnotations;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
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

    public override bool CanReplay => true;

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

    private protected override TrainingTaskConfig RowOptions => new CausalLmConfig { Packing = Packing, DocumentSeparator = DocumentSeparator };

    /// <summary>Long documents are split, never cut: no token is lost.</summary>
    private protected override void Tokenize(DatasetSpec dataset, TrainingArguments arguments, Tokenizer tokenizer, DatasetDraft draft, PretrainedConfig? learnt)
    {
        var maxLength = arguments.MaxLength.Resolved;
        var documents = DatasetSplits.Load(dataset, arguments.DataSeed ?? arguments.Seed, new DocumentReader(dataset.TextColumn!, DocumentSeparator, tokenizer, draft).Read);
        var pieces = documents with { Train = Split(documents.Train), Validation = Split(documents.Validation), Test = Split(documents.Test), Replay = Split(documents.Replay) };
        draft.Facts = LanguageModelTask.Write(pieces, Packing, tokenizer, maxLength, draft);

        IReadOnlyList<Stretch> Split(IReadOnlyList<Stretch> texts) => [.. texts.SelectMany(text => text.Split(maxLength))];
    }

    private protected override TrainingTask Create(TokenizedDataset data, TrainingArguments arguments, Tokenizer tokenizer) => new LanguageModelTask(data, tokenizer.PaddingId ?? 0, chatTemplate: null)
    {
        SamplePrompts = PromptsOf(data.Facts.FirstHeldOut, new(tokenizer, template: null), asMessages: false, tokenizer, arguments.MaxLength.Resolved),
    };
}
