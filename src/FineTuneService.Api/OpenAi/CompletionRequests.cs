using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using FineTuneService.Contracts;

namespace FineTuneService.Api.OpenAi;

/// <summary>What chat completions and completions are asked alike. What would change the answer and is not done here is refused; what would not, is taken and left.</summary>
public abstract record SamplingRequest
{
    /// <summary>What a job has made, one of its checkpoints, or a base model: see <c>GET /v1/models</c>.</summary>
    [Length(1, 512)]
    public required string Model { get; init; }

    /// <summary>The most tokens to add.</summary>
    [Range(1, int.MaxValue)]
    public int? MaxTokens { get; init; }

    /// <summary>Divides the logits before drawing; 0: the most probable token every time. Absent: as the model's own file says.</summary>
    [Range(0.0, 2.0)]
    public double? Temperature { get; init; }

    /// <summary>Draw among the most probable tokens that together reach this probability.</summary>
    [Range(0.0, 1.0)]
    public double? TopP { get; init; }

    /// <summary>One answer; more are asked for one by one.</summary>
    [Range(1, 1)]
    public int? N { get; init; }

    /// <summary>Texts at which to stop; the answer ends before them.</summary>
    public OneOrMany<string>? Stop { get; init; }

    /// <summary>The same seed draws the same text.</summary>
    public long? Seed { get; init; }

    /// <summary>Send the answer piece by piece, as Server-Sent Events that end with <c>data: [DONE]</c>.</summary>
    public bool? Stream { get; init; }

    /// <summary>With <c>stream</c>.</summary>
    public StreamOptions? StreamOptions { get; init; }

    /// <summary>0.</summary>
    [Range(0.0, 0.0)]
    public double? FrequencyPenalty { get; init; }

    /// <summary>0.</summary>
    [Range(0.0, 0.0)]
    public double? PresencePenalty { get; init; }

    /// <summary>Empty.</summary>
    public IReadOnlyDictionary<string, double>? LogitBias { get; init; }

    /// <summary>Left.</summary>
    public string? User { get; init; }

    protected GenerationConfig Generation(int? maxNewTokens)
    {
        var isGreedy = Temperature == 0 || TopP == 0;
        return new()
        {
            MaxNewTokens = maxNewTokens,
            DoSample = isGreedy ? false : null,
            Temperature = isGreedy || Temperature is null ? null : Math.Max(0.01, Temperature.Value),
            TopP = isGreedy ? null : TopP,
            StopStrings = Stop?.Values,
            Seed = Seed,
        };
    }

    protected void CheckSampling(FaultList faults)
    {
        faults.Require(LogitBias is null or { Count: 0 }, "/logit_bias", null, "Single tokens cannot be made likelier here.", "Leave it out.");
        faults.Require(Stop is null || Stop.Values is { Count: <= 4 } && Stop.Values.All(text => text.Length > 0), "/stop", null, "These are no texts to stop at.", "Give one to four texts that are not empty.");
    }
}

/// <param name="IncludeUsage">Send a last piece with the numbers of tokens.</param>
/// <param name="IncludeObfuscation">Left.</param>
public sealed record StreamOptions(bool? IncludeUsage = null, bool? IncludeObfuscation = null);

/// <summary>The body of <c>POST /v1/chat/completions</c>.</summary>
public sealed record ChatCompletionRequest : SamplingRequest
{
    /// <summary>The conversation: objects with <c>role</c> and <c>content</c>, a text or a list of text parts.</summary>
    [Length(1, 1024)]
    public required IReadOnlyList<JsonElement> Messages { get; init; }

    /// <summary>The functions that the model's chat template tells it of. Its calls are read where it writes them as Hermes and Qwen do, or as Llama 3 does.</summary>
    [MaxLength(128)]
    public IReadOnlyList<JsonElement>? Tools { get; init; }

    /// <summary><c>auto</c> or <c>none</c>.</summary>
    public JsonElement? ToolChoice { get; init; }

    /// <summary>The newer name of <c>max_tokens</c>.</summary>
    [Range(1, int.MaxValue)]
    public int? MaxCompletionTokens { get; init; }

    /// <summary><c>{"type": "text"}</c>.</summary>
    public JsonElement? ResponseFormat { get; init; }

    /// <summary>false.</summary>
    public bool? Logprobs { get; init; }

    /// <summary>Left.</summary>
    public bool? ParallelToolCalls { get; init; }

    /// <summary>Left: nothing is stored.</summary>
    public bool? Store { get; init; }

    /// <summary>Left.</summary>
    public IReadOnlyDictionary<string, string>? Metadata { get; init; }

    /// <summary>Left.</summary>
    public string? SafetyIdentifier { get; init; }

    /// <summary>Left.</summary>
    public string? PromptCacheKey { get; init; }

    /// <summary>Left.</summary>
    public string? ServiceTier { get; init; }

    /// <exception cref="FaultException">With everything that is wrong.</exception>
    public GenerateRequest ToGenerate()
    {
        var (faults, isSilent) = (new FaultList(), ToolChoice is { ValueKind: JsonValueKind.String } choice && choice.ValueEquals("none"));
        CheckSampling(faults);
        faults.Require(Logprobs != true, "/logprobs", true, "Probabilities are not told here.", "Leave it out.");
        faults.Require(isSilent || ToolChoice is null || ToolChoice is { ValueKind: JsonValueKind.String } named && named.ValueEquals("auto"), "/tool_choice", ToolChoice, "A call cannot be forced here.", "Give auto or none, or leave it out.");
        faults.Require(ResponseFormat is null || ResponseFormat.Value.ValueKind == JsonValueKind.Object && ResponseFormat.Value.TryGetProperty("type", out var type) && type.ValueKind == JsonValueKind.String && type.ValueEquals("text"), "/response_format", ResponseFormat, "Answers are plain text here.", """Give {"type": "text"}, or leave it out.""");
        var asked = new GenerateRequest { Messages = [.. Messages.Select(ToolCall.WithPlainArguments)], Tools = isSilent || Tools is { Count: 0 } ? null : Tools, Generation = Generation(MaxCompletionTokens ?? MaxTokens) };
        asked.Check(faults);
        faults.ThrowIfAny();
        return asked;
    }
}

/// <summary>The body of <c>POST /v1/completions</c>.</summary>
public sealed record CompletionRequest : SamplingRequest
{
    private const int UsualTokens = 16; // OpenAI's.

    /// <summary>A text to continue, or 1 to 64 of them.</summary>
    public required OneOrMany<string> Prompt { get; init; }

    /// <summary>false.</summary>
    public bool? Echo { get; init; }

    /// <summary>1.</summary>
    [Range(1, 1)]
    public int? BestOf { get; init; }

    /// <summary>None.</summary>
    public string? Suffix { get; init; }

    /// <summary>None.</summary>
    public int? Logprobs { get; init; }

    /// <exception cref="FaultException">With everything that is wrong.</exception>
    public GenerateRequest ToGenerate()
    {
        var faults = new FaultList();
        CheckSampling(faults);
        faults.Require(Prompt.Values.Count is >= 1 and <= 64, "/prompt", null, $"{Prompt.Values.Count} prompts are out of bounds.", "Give 1 to 64.");
        faults.Require(Echo != true, "/echo", true, "Prompts are not sent back here.", "Leave it out.");
        faults.Require(string.IsNullOrEmpty(Suffix), "/suffix", Suffix, "Nothing can be inserted here.", "Leave it out.");
        faults.Require(Logprobs is null, "/logprobs", Logprobs, "Probabilities are not told here.", "Leave it out.");
        faults.ThrowIfAny();
        return new() { Prompts = Prompt.Values, Generation = Generation(MaxTokens ?? UsualTokens) };
    }
}
