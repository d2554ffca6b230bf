using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Generation;

/// <summary>A <see cref="GenerationConfig"/> with every value set: the request's, else the model's, else transformers' default.</summary>
public sealed record GenerationSettings
{
    public const string FileName = "generation_config.json";

    public int MaxNewTokens { get; init; } = 256;
    public bool DoSample { get; init; }
    public double Temperature { get; init; } = 1;
    public int TopK { get; init; } = 50;
    public double TopP { get; init; } = 1;
    public double MinP { get; init; }
    public double RepetitionPenalty { get; init; } = 1;
    public IReadOnlyList<string> StopStrings { get; init; } = [];
    public IReadOnlyList<int> EosTokenIds { get; init; } = [];

    /// <summary>What the model's generation_config.json says, and config.json of the end of a text.</summary>
    /// <exception cref="FaultException">When generation_config.json cannot be read.</exception>
    public static GenerationSettings Read(string folder, PretrainedConfig config, Tokenizer tokenizer)
    {
        var path = Path.Combine(folder, FileName);
        try
        {
            var file = File.Exists(path) ? (JsonObject)JsonNode.Parse(File.ReadAllBytes(path))! : [];
            var ends = Ids(file["eos_token_id"]) ?? Ids(config.Source["eos_token_id"]) ?? (tokenizer.EosTokenId is { } end ? [end] : []);
            var fallback = new GenerationSettings();
            return new()
            {
                MaxNewTokens = file["max_new_tokens"]?.GetValue<int>() ?? fallback.MaxNewTokens,
                DoSample = file["do_sample"]?.GetValue<bool>() ?? fallback.DoSample,
                Temperature = file["temperature"]?.GetValue<double>() is > 0 and var temperature ? temperature : fallback.Temperature,
                TopK = file["top_k"]?.GetValue<int>() ?? fallback.TopK,
                TopP = file["top_p"]?.GetValue<double>() ?? fallback.TopP,
                MinP = file["min_p"]?.GetValue<double>() ?? fallback.MinP,
                RepetitionPenalty = file["repetition_penalty"]?.GetValue<double>() ?? fallback.RepetitionPenalty,
                EosTokenIds = ends,
            };
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or InvalidCastException or FormatException)
        {
            throw new FaultException(path, null, $"generation_config.json cannot be read: {error.Message}", "Fetch the file again from its origin, or delete it.");
        }
    }

    /// <summary>These, with what a request asks for in their place.</summary>
    /// <exception cref="FaultException">With every value that makes no sense.</exception>
    public GenerationSettings With(GenerationConfig request)
    {
        var faults = new FaultList();
        const string At = "/generation";
        faults.Require(request.MaxNewTokens is null or > 0, $"{At}/max_new_tokens", request.MaxNewTokens, "At least one token must be asked for.", "Give 1 or more.");
        faults.Require(request.Temperature is null or > 0, $"{At}/temperature", request.Temperature, "The temperature divides, and must be positive.", "Give \"do_sample\": false for the most probable text.");
        faults.Require(request.TopK is null or >= 0, $"{At}/top_k", request.TopK, "This is a number of tokens.", "Give 1 or more, or 0 for all.");
        faults.Require(request.TopP is null or (> 0 and <= 1), $"{At}/top_p", request.TopP, "This is a probability.", "Give a number above 0, up to 1.");
        faults.Require(request.MinP is null or (>= 0 and <= 1), $"{At}/min_p", request.MinP, "This is a probability.", "Give a number from 0 to 1.");
        faults.Require(request.RepetitionPenalty is null or > 0, $"{At}/repetition_penalty", request.RepetitionPenalty, "The penalty divides, and must be positive.", "Give 1 for none, and more for less repetition.");
        faults.Require(request.StopStrings?.Contains("") is not true, $"{At}/stop_strings", "", "An empty text stops everything.", "Leave it out.");
        faults.ThrowIfAny();
        var wantsSampling = request is { Temperature: not null } or { TopK: not null } or { TopP: not null } or { MinP: not null };
        return new()
        {
            MaxNewTokens = request.MaxNewTokens ?? MaxNewTokens,
            DoSample = request.DoSample ?? (wantsSampling || DoSample),
            Temperature = request.Temperature ?? Temperature,
            TopK = request.TopK ?? TopK,
            TopP = request.TopP ?? TopP,
            MinP = request.MinP ?? MinP,
            RepetitionPenalty = request.RepetitionPenalty ?? RepetitionPenalty,
            StopStrings = request.StopStrings ?? StopStrings,
            EosTokenIds = EosTokenIds,
        };
    }

    private static IReadOnlyList<int>? Ids(JsonNode? node) => node switch
    {
        null => null,
        JsonArray ids => [.. ids.Select(id => id!.GetValue<int>())],
        _ => [node.GetValue<int>()],
    };
}
