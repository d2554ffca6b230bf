using System.ComponentModel.DataAnnotations;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Tasks;

/// <summary>Supervised fine-tuning: learns to answer, from conversations, from prompts with completions, or from instructions. The columns say which.</summary>
[SpecType("sft")]
public sealed record SftConfig : LanguageModelTaskConfig
{
    /// <summary>Put several examples into one row of <c>max_length</c> tokens; attention and labels never leave an example.</summary>
    public bool Packing { get; init; }

    /// <summary>Of a prompt with its completion, learn the completion only.</summary>
    public bool CompletionOnlyLoss { get; init; } = true;

    /// <summary>Of a conversation, learn what the assistant says only, up to and with the end of its turn. TRL: false.</summary>
    public bool AssistantOnlyLoss { get; init; } = true;

    /// <summary>A Jinja template to use in place of the model's own.</summary>
    [Length(1, 262_144)]
    public string? ChatTemplate { get; init; }

    /// <summary>What becomes of an example with more than <c>max_length</c> tokens. TRL: <c>truncate</c>.</summary>
    public OverLength OverLength { get; init; } = OverLength.Drop;

    public override bool CanReplay => true;

    public override DatasetSpec ResolveColumns(DatasetSpec dataset, ColumnResolver columns)
    {
        if (dataset is { PromptColumn: null, CompletionColumn: null } && columns.Optional("messages_column", dataset.MessagesColumn, "messages", "conversations", "conversation") is { } messages)
            return dataset with { MessagesColumn = messages, ToolsColumn = columns.Optional("tools_column", dataset.ToolsColumn, "tools") };
        var prompt = columns.Required("prompt_column", dataset.PromptColumn, "prompt", "instruction", "question");
        return dataset with
        {
            PromptColumn = prompt,
            CompletionColumn = columns.Required("completion_column", dataset.CompletionColumn, "completion", "response", "output", "answer"),
            InputColumn = prompt == "instruction" ? columns.Optional("input_column", dataset.InputColumn, "input") : columns.Optional("input_column", dataset.InputColumn),
            ToolsColumn = columns.Optional("tools_column", dataset.ToolsColumn, "tools"),
        };
    }

    public override IEnumerable<string> NeededColumns(DatasetSpec dataset) => new[] { dataset.MessagesColumn, dataset.PromptColumn, dataset.CompletionColumn }.OfType<string>();

    public override void Check(DatasetProfile train, DatasetSpec dataset, FaultList faults)
    {
        ExchangeTokenizer.Check(ChatTemplate, faults);
        if (dataset.MessagesColumn is { } name && train.Columns.FirstOrDefault(column => column.Name == name) is { } messages)
            faults.Require(
                messages.Kind is ColumnKind.List or ColumnKind.String, "/dataset/messages_column", name,
                $"Conversations are lists of messages, and this column holds {messages.Kind.ToString().ToLowerInvariant()} values.", "Name the column with the messages.");
    }

    private protected override TrainingTaskConfig RowOptions => this with { SamplePrompts = null, SampleMaxNewTokens = new SftConfig().SampleMaxNewTokens };

    private protected override void Tokenize(DatasetSpec dataset, TrainingArguments arguments, Tokenizer tokenizer, DatasetDraft draft, PretrainedConfig? learnt)
    {
        var maxLength = arguments.MaxLength.Resolved;
        var data = new SftData(this, dataset, tokenizer, maxLength, draft);
        var splits = DatasetSplits.Load(dataset, arguments.DataSeed ?? arguments.Seed, data.Read);
        draft.Facts = LanguageModelTask.Write(splits, Packing, tokenizer, maxLength, draft) with { HasChats = data.HasChats, TruncatedRows = data.Truncated.Rows, TruncatedTokens = data.Truncated.Tokens };
    }

    private protected override TrainingTask Create(TokenizedDataset data, TrainingArguments arguments, Tokenizer tokenizer) => new LanguageModelTask(data, tokenizer.PaddingId ?? 0, ChatTemplate)
    {
        SamplePrompts = PromptsOf(data.Facts.FirstHeldOut, new(tokenizer, ExchangeTokenizer.Template(ChatTemplate, tokenizer)), data.Facts.HasChats, tokenizer, arguments.MaxLength.Resolved),
    };
}

/// <summary>What becomes of a row with too many tokens.</summary>
public enum OverLength
{
    /// <summary>The row is left out and counted.</summary>
    Drop,

    /// <summary>Its first tokens are kept; a row of which nothing is left to learn is left out and counted.</summary>
    Truncate,

    /// <summary>The job is refused, with the row's line.</summary>
    Error,
}

/// <summary>Reads the files of a job and fits their rows into the maximal length.</summary>
internal sealed class SftData
{
    private readonly SftConfig _config;
    private readonly ExchangeReader _reader;
    private readonly ExchangeTokenizer _tokenizer;
    private readonly int _maxLength;
    private readonly DatasetDraft _draft;

    public SftData(SftConfig config, DatasetSpec dataset, Tokenizer tokenizer, int maxLength, DatasetDraft draft)
    {
        var template = ExchangeTokenizer.Template(config.ChatTemplate, tokenizer);
        (_config, _maxLength, _draft, _reader) = (config, maxLength, draft, new(dataset, template is not null));
        _tokenizer = new(tokenizer, template) { CompletionOnlyLoss = config.CompletionOnlyLoss, AssistantOnlyLoss = config.AssistantOnlyLoss };
    }

    /// <summary>Whether rows that were read are conversations.</summary>
    public bool HasChats { get; private set; }

    /// <summary>Rows cut, and the tokens lost by it, in all files read so far.</summary>
    public (int Rows, long Tokens) Truncated { get; private set; }

    /// <exception cref="FaultException">With file and line of each fault; or when nothing is left to learn.</exception>
    public (List<Tokenized<Stretch>> Rows, DataLedger Ledger) Read(string path)
    {
        var ledger = new RowLedger(path);
        var rows = new List<Tokenized<Stretch>>();
        foreach (var (exchange, whole) in ExchangeRows.Tokenize(_reader.Read(ledger), _tokenizer.Tokenize, exchange => exchange.Line, ledger))
        {
            HasChats |= exchange is ChatExchange;
            if (Fit(whole, exchange.Line, ledger) is { } fitting)
                rows.Add(new(HeldOut.KeyOf(exchange.Text), _draft.Add(fitting)));
        }
        return (rows, ledger.Close(rows.Count, ("No row is left to learn from.", $"See why rows were dropped; max_length is {_maxLength}, and over_length decides about longer rows.")));
    }

    private TokenSequence? Fit(TokenSequence whole, long line, RowLedger ledger)
    {
        var kept = whole.KeepStart(_maxLength);
        if (whole.Targets == 0)
            ledger.Drop("nothing in it is to be learnt", line);
        else if (kept == whole)
            return whole;
        else if (_config.OverLength == OverLength.Error)
            ledger.Fault(line, $"{whole.Length} tokens", $"The row has more than {_maxLength} tokens.", "Shorten it, raise max_length, or set over_length to drop or truncate.");
        else if (_config.OverLength == OverLength.Drop)
            ledger.Drop($"longer than {_maxLength} tokens", line);
        else if (kept.Targets == 0)
            ledger.Drop($"nothing to learn in its first {_maxLength} tokens", line);
        else
        {
            Truncated = (Truncated.Rows + 1, Truncated.Tokens + whole.Length - kept.Length);
            return kept;
        }
        return null;
    }
}
