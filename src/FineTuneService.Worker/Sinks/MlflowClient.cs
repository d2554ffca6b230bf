using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using FineTuneService.Storage;

namespace FineTuneService.Worker.Sinks;

/// <summary>The few calls of MLflow's REST API 2.0 that a run needs (mlflow.org/docs/latest/rest-api.html).</summary>
internal sealed class MlflowClient
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals, // As protobuf writes them in JSON: "NaN".
    };

    private readonly HttpClient _http;

    public MlflowClient(HttpClient http, MlflowSettings settings)
    {
        _http = http;
        _http.Timeout = TimeSpan.FromSeconds(30);
        _http.BaseAddress = new Uri($"{settings.TrackingUri.AbsoluteUri.TrimEnd('/')}/api/2.0/mlflow/");
        _http.DefaultRequestHeaders.Authorization = settings switch
        {
            { Token: { } token } => new AuthenticationHeaderValue("Bearer", token),
            { Username: { } name } => new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{name}:{settings.Password}"))),
            _ => null,
        };
    }

    /// <returns>The id of the experiment of this name, which is made where there is none.</returns>
    public async Task<string> EnsureExperiment(string name, CancellationToken cancel)
    {
        using (var found = await _http.GetAsync($"experiments/get-by-name?experiment_name={Uri.EscapeDataString(name)}", cancel))
            if (found.StatusCode != HttpStatusCode.NotFound)
                return (await Read<ExperimentAnswer>(found, cancel)).Experiment.ExperimentId;
        return (await Post<Experiment>("experiments/create", new { Name = name }, cancel)).ExperimentId;
    }

    /// <returns>Null when there is none.</returns>
    public async Task<MlflowRun?> FindRun(string experiment, string tag, string value, CancellationToken cancel) =>
        await Post<RunList>("runs/search", new { ExperimentIds = new[] { experiment }, Filter = $"tags.`{tag}` = '{value}'", MaxResults = 1 }, cancel) is { Runs: [var run, ..] } ? run : null;

    public async Task<MlflowRun> CreateRun(string experiment, string name, DateTimeOffset startedAt, IEnumerable<MlflowPair> tags, CancellationToken cancel) =>
        (await Post<RunAnswer>("runs/create", new { ExperimentId = experiment, RunName = name, StartTime = startedAt.ToUnixTimeMilliseconds(), Tags = tags }, cancel)).Run;

    /// <summary>All of it or nothing; at most 1000 in all, of which 100 parameters and 100 tags.</summary>
    public async Task LogBatch(string run, IEnumerable<MlflowMetric> metrics, IEnumerable<MlflowPair> parameters, IEnumerable<MlflowPair> tags, CancellationToken cancel) =>
        await Post<JsonElement>("runs/log-batch", new { RunId = run, Metrics = metrics, Params = parameters, Tags = tags }, cancel);

    /// <param name="status"><c>RUNNING</c>, <c>FINISHED</c>, <c>FAILED</c> or <c>KILLED</c>.</param>
    public async Task Update(string run, string status, DateTimeOffset? endedAt, CancellationToken cancel) =>
        await Post<JsonElement>("runs/update", new { RunId = run, Status = status, EndTime = endedAt?.ToUnixTimeMilliseconds() }, cancel);

    private async Task<T> Post<T>(string path, object body, CancellationToken cancel)
    {
        // With its length: MLflow's server reads nothing of a body that comes in chunks.
        using var content = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(body, Json)) { Headers = { ContentType = new("application/json") } };
        using var answer = await _http.PostAsync(path, content, cancel);
        return await Read<T>(answer, cancel);
    }

    /// <exception cref="HttpRequestException">With the server's own words.</exception>
    private static async Task<T> Read<T>(HttpResponseMessage answer, CancellationToken cancel)
    {
        if (!answer.IsSuccessStatusCode)
            throw new HttpRequestException($"MLflow answered {(int)answer.StatusCode}: {await answer.Content.ReadAsStringAsync(cancel)}", null, answer.StatusCode);
        return (await answer.Content.ReadFromJsonAsync<T>(Json, cancel))!;
    }

    private sealed record Experiment(string ExperimentId);

    private sealed record ExperimentAnswer(Experiment Experiment);

    private sealed record RunList(IReadOnlyList<MlflowRun>? Runs);

    private sealed record RunAnswer(MlflowRun Run);
}

internal sealed record MlflowPair(string Key, string Value);

/// <param name="Timestamp">Milliseconds of Unix time.</param>
internal sealed record MlflowMetric(string Key, double Value, long Timestamp, int Step);

internal sealed record MlflowRun(MlflowRunInfo Info, MlflowRunData? Data)
{
    public string? Tag(string key) => Data?.Tags?.FirstOrDefault(tag => tag.Key == key)?.Value;
}

internal sealed record MlflowRunInfo(string RunId, string? Status);

internal sealed record MlflowRunData(IReadOnlyList<MlflowPair>? Tags);
