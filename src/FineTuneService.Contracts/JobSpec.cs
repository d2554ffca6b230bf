using System.ComponentModel.DataAnnotations;

namespace FineTuneService.Contracts;

/// <summary>The body of <c>POST /jobs</c>, and the file <c>job.json</c> of a run (where ids have become paths).</summary>
public sealed record JobSpec
{
    /// <summary>A name for people; need not be unique.</summary>
    [Length(1, 128)]
    public string? Name { get; init; }

    /// <summary>
    /// A folder name under the models directory (see <c>GET /base-models</c>), an id of the Hugging Face hub (<c>organisation/name</c>), or <c>job:JOB</c>, <c>job:JOB@STEP</c>
    /// for a checkpoint of an earlier job; in a run's job.json the path of a Hugging Face folder.
    /// </summary>
    [Length(1, 4096)]
    public required string BaseModel { get; init; }

    /// <summary>Of a model of the hub: a branch, a tag or a commit. Absent: main. The answer has the commit, and the job keeps to it.</summary>
    [Length(1, 200)]
    public string? Revision { get; init; }

    /// <summary>Where the first weights come from: those of the base model, or drawn at random for its config.json, to pre-train a small model.</summary>
    public WeightsFrom Init { get; init; }

    /// <summary>What is learnt. The string <c>"text-classification"</c> is short for <c>{"type": "text-classification"}</c>.</summary>
    public required TaskConfig Task { get; init; }

    public required DatasetSpec Dataset { get; init; }

    /// <summary>How the weights are changed: <c>full</c> unless given. A string is short for an object of that type.</summary>
    public MethodConfig? Method { get; init; }

    public TrainingArguments Training { get; init; } = new();

    /// <summary>Processes on one machine that share every step, each with a device of its own (data parallelism); a step then sees that many times <c>per_device_train_batch_size</c>.</summary>
    [Range(1, 64)]
    public int Devices { get; init; } = 1;

    /// <summary>When and where it runs; of no meaning for what is learnt.</summary>
    public JobScheduling Scheduling { get; init; } = new();

    /// <summary>Up to 16 pairs of your own, echoed back; keys up to 64 characters, values up to 512.</summary>
    [MaxLength(16)]
    public IReadOnlyDictionary<string, string>? Metadata { get; init; }
}

/// <summary>Where a run's first weights come from.</summary>
public enum WeightsFrom
{
    /// <summary>The base model's weights; a head that it lacks is drawn.</summary>
    Pretrained,

    /// <summary>All drawn from <c>seed</c>; of the base model only config.json and the tokenizer are read.</summary>
    Config,
}

/// <summary>Which data, and which of its columns.</summary>
public sealed record DatasetSpec
{
    /// <summary>The id of an uploaded dataset (<c>ds_…</c>), or its name: then the newest of that name; in a run's job.json the path of a file.</summary>
    [Length(1, 4096)]
    public required string Train { get; init; }

    /// <summary>As <see cref="Train"/>. Absent: a stratified share of the training rows is held out, see <see cref="ValidationSplit"/>.</summary>
    [Length(1, 4096)]
    public string? Validation { get; init; }

    /// <summary>As <see cref="Train"/>. Scored once at the end, with the best checkpoint; metrics are prefixed <c>test_</c>.</summary>
    [Length(1, 4096)]
    public string? Test { get; init; }

    /// <summary>Share of training rows held out for validation, in [0, 0.5]; ignored when <see cref="Validation"/> is given. 0 trains without evaluation.</summary>
    [Range(0.0, 0.5)]
    public double ValidationSplit { get; init; } = 0.1;

    /// <summary>Rows of an earlier dataset that are learnt again among the training rows, so that what they taught is not forgotten; only for tasks that predict tokens, but dpo. Default: none.</summary>
    public ReplaySpec? Replay { get; init; }

    /// <summary>
    /// Earlier datasets, each as <see cref="Train"/>, of the same task and in the same columns. They are not learnt, but scored before the first step, at every evaluation and at the end:
    /// <c>earlier_0_loss</c> and so on, and the finding <c>forgetting</c> where one rises. Only for tasks that predict tokens, but dpo. Default: none.
    /// </summary>
    [MaxLength(8)]
    public IReadOnlyList<string>? Earlier { get; init; }

    /// <summary>Column with the text. Default: the first of the usual names that exists, such as text, sentence, content.</summary>
    [Length(1, 256)]
    public string? TextColumn { get; init; }

    /// <summary>Column with the second text of a pair. Default: where no text is named either, the second of the usual pairs, such as sentence1 and sentence2, premise and hypothesis, question1 and question2; otherwise none.</summary>
    [Length(1, 256)]
    public string? TextPairColumn { get; init; }

    /// <summary>Column with the label. Default: the first of label, labels, category, intent, class, target, score that exists.</summary>
    [Length(1, 256)]
    public string? LabelColumn { get; init; }

    /// <summary>Column with conversations: lists of <c>{role, content}</c> (OpenAI) or <c>{from, value}</c> (ShareGPT). Default: the first of messages, conversations, conversation that exists.</summary>
    [Length(1, 256)]
    public string? MessagesColumn { get; init; }

    /// <summary>Column with the functions that a conversation may call, as a list of schemas or its JSON text. Default: tools, if it exists.</summary>
    [Length(1, 256)]
    public string? ToolsColumn { get; init; }

    /// <summary>Column with what the model is asked: a text, or a list of messages. Default: the first of prompt, instruction, question that exists; a preference may do without, then it is what both answers begin with.</summary>
    [Length(1, 256)]
    public string? PromptColumn { get; init; }

    /// <summary>Column with what an instruction is about (Alpaca). Default: input, if the prompts are instructions.</summary>
    [Length(1, 256)]
    public string? InputColumn { get; init; }

    /// <summary>Column with the answer to learn: a text, or a list of messages. Default: the first of completion, response, output, answer that exists.</summary>
    [Length(1, 256)]
    public string? CompletionColumn { get; init; }

    /// <summary>Column with the preferred answer: a text, or a list of messages. Default: chosen.</summary>
    [Length(1, 256)]
    public string? ChosenColumn { get; init; }

    /// <summary>Column with the answer that is less liked. Default: rejected.</summary>
    [Length(1, 256)]
    public string? RejectedColumn { get; init; }

    /// <summary>Token classification: column with a row's words, a list. Default: the first of tokens, words that exists.</summary>
    [Length(1, 256)]
    public string? TokensColumn { get; init; }

    /// <summary>Token classification: column with the words' tags, a list of names or of numbers. Default: the first of ner_tags, tags, labels, pos_tags, chunk_tags that exists.</summary>
    [Length(1, 256)]
    public string? TagsColumn { get; init; }
}

/// <summary>What is learnt again, and how much of it.</summary>
public sealed record ReplaySpec
{
    /// <summary>As <see cref="DatasetSpec.Train"/>; its rows are of the same task, in the same columns.</summary>
    [Length(1, 4096)]
    public required string Dataset { get; init; }

    /// <summary>Share of an epoch's rows that are drawn from it, anew in every epoch; the training rows are all there besides. A small one does: a twentieth to a fifth.</summary>
    [Range(0.0, 1.0, MinimumIsExclusive = true, MaximumIsExclusive = true)]
    public double Fraction { get; init; } = 0.1;
}

/// <summary>What a task's options have in common. Each task brings its own record, found by its <c>type</c>.</summary>
public abstract record TaskConfig;

/// <summary>What a method's options have in common. Each method brings its own record, found by its <c>type</c>.</summary>
public abstract record MethodConfig;
