using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace FineTuneService.Worker.Tests;

/// <summary>As much of MLflow's REST API 2.0 as a run needs, as strict as the real one (mlflow/utils/validation.py, mlflow/server/handlers.py): names, sizes, parameters that never change.</summary>
internal sealed partial class MlflowServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly Dictionary<string, string> _experiments = new() { ["Default"] = "0" };

    public sealed record Run(string Id, string Experiment, string Name)
    {
        public string Status { get; set; } = "RUNNING";
        public long? EndTime { get; set; }
        public Dictionary<string, string> Parameters { get; } = [];
        public Dictionary<string, string> Tags { get; } = [];
        public List<(string Key, double Value, long Timestamp, int Step)> Metrics { get; } = [];
    }

    private MlflowServer(WebApplication app) => _app = app;

    /// <summary>Answers nothing but 503.</summary>
    public bool IsAway { get; set; }

    public List<Run> Runs { get; } = [];

    public List<string> Refusals { get; } = [];

    public Uri Url => new(_app.Urls.Single());

    public static async Task<MlflowServer> Start()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var server = new MlflowServer(builder.Build());
        server._app.Run(server.Answer);
        await server._app.StartAsync();
        return server;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task Answer(HttpContext http)
    {
        if (IsAway)
        {
            http.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
            return;
        }
        Assert.StartsWith("Bearer secret", http.Request.Headers.Authorization.ToString());
        var body = http.Request.ContentLength > 0 ? JsonNode.Parse(await new StreamReader(http.Request.Body).ReadToEndAsync())!.AsObject() : [];
        try
        {
            JsonNode answer;
            lock (Runs)
                answer = (http.Request.Method, http.Request.Path.Value?["/api/2.0/mlflow/".Length..]) switch
                {
                    ("GET", "experiments/get-by-name") => new JsonObject { ["experiment"] = new JsonObject { ["experiment_id"] = Find(http.Request.Query["experiment_name"].ToString()) } },
                    ("POST", "experiments/create") => new JsonObject { ["experiment_id"] = _experiments[Text(body, "name")] = $"{_experiments.Count}" },
                    ("POST", "runs/search") => Search(body),
                    ("POST", "runs/create") => Create(body),
                    ("POST", "runs/log-batch") => Log(body),
                    ("POST", "runs/update") => Update(body),
                    _ => throw new Refusal("ENDPOINT_NOT_FOUND", http.Request.Path, 404),
                };
            await http.Response.WriteAsJsonAsync(answer);
        }
        catch (Refusal refusal)
        {
            Refusals.Add(refusal.Message);
            http.Response.StatusCode = refusal.Status;
            await http.Response.WriteAsJsonAsync(new JsonObject { ["error_code"] = refusal.Code, ["message"] = refusal.Message });
        }
    }

    private string Find(string name) => _experiments.GetValueOrDefault(name) ?? throw new Refusal("RESOURCE_DOES_NOT_EXIST", $"Could not find experiment with name '{name}'", 404);

    private JsonObject Search(JsonObject body)
    {
        var filter = TagFilter().Match(Text(body, "filter"));
        Require(filter.Success, "filter");
        var found = Runs.FirstOrDefault(run => body["experiment_ids"]!.AsArray().Any(id => (string)id! == run.Experiment) && run.Tags.GetValueOrDefault(filter.Groups[1].Value) == filter.Groups[2].Value);
        return found is null ? [] : new JsonObject { ["runs"] = new JsonArray(View(found)) }; // Protobuf's JSON leaves empty lists out.
    }

    private JsonObject Create(JsonObject body)
    {
        var run = new Run($"{Guid.NewGuid():N}", Text(body, "experiment_id"), Text(body, "run_name"));
        Require(_experiments.ContainsValue(run.Experiment), "experiment_id");
        SetTags(run, body);
        Runs.Add(run);
        return new JsonObject { ["run"] = View(run) };
    }

    private JsonObject Log(JsonObject body)
    {
        var run = Runs.Single(run => run.Id == Text(body, "run_id"));
        var (metrics, parameters, tags) = (Array(body, "metrics"), Array(body, "params"), Array(body, "tags"));
        Require(metrics.Count <= 1000 && parameters.Count <= 100 && tags.Count <= 100 && metrics.Count + parameters.Count + tags.Count <= 1000, "batch");
        Require(body.ToJsonString().Length <= 1_000_000, "size");
        foreach (var parameter in parameters)
        {
            var (key, value) = (Key(parameter!), Text(parameter!.AsObject(), "value"));
            Require(value.Length <= 500 && run.Parameters.GetValueOrDefault(key, value) == value, $"params/{key}");
            run.Parameters[key] = value;
        }
        Require(parameters.Select(parameter => Key(parameter!)).Distinct().Count() == parameters.Count, "params");
        foreach (var metric in metrics)
        {
            var value = metric!["value"]!.GetValueKind() == JsonValueKind.String ? double.Parse((string)metric["value"]!, CultureInfo.InvariantCulture) : (double)metric["value"]!;
            run.Metrics.Add((Key(metric), value, (long)metric["timestamp"]!, (int)metric["step"]!));
        }
        SetTags(run, body);
        return [];
    }

    private JsonObject Update(JsonObject body)
    {
        var run = Runs.Single(run => run.Id == Text(body, "run_id"));
        run.Status = Text(body, "status");
        Require(run.Status is "RUNNING" or "SCHEDULED" or "FINISHED" or "FAILED" or "KILLED", "status");
        run.EndTime = (long?)body["end_time"];
        return new JsonObject { ["run_info"] = View(run)["info"]!.DeepClone() };
    }

    private static void SetTags(Run run, JsonObject body)
    {
        foreach (var tag in Array(body, "tags"))
            run.Tags[Key(tag!)] = Text(tag!.AsObject(), "value");
    }

    private static JsonObject View(Run run) => new()
    {
        ["info"] = new JsonObject { ["run_id"] = run.Id, ["run_uuid"] = run.Id, ["run_name"] = run.Name, ["status"] = run.Status },
        ["data"] = new JsonObject { ["tags"] = new JsonArray([.. run.Tags.Select(tag => new JsonObject { ["key"] = tag.Key, ["value"] = tag.Value })]) },
    };

    private static string Key(JsonNode named)
    {
        var key = Text(named.AsObject(), "key");
        Require(Name().IsMatch(key) && key.Length <= 250, $"key {key}");
        return key;
    }

    private static JsonArray Array(JsonObject body, string name) => body[name]?.AsArray() ?? [];

    private static string Text(JsonObject body, string name)
    {
        Require((string?)body[name] is { Length: > 0 }, name);
        return (string)body[name]!;
    }

    private static void Require(bool holds, string what)
    {
        if (!holds)
            throw new Refusal("INVALID_PARAMETER_VALUE", $"Invalid value for parameter '{what}' supplied", 400);
    }

    private sealed class Refusal(string code, string message, int status) : Exception(message)
    {
        public string Code => code;
        public int Status => status;
    }

    [GeneratedRegex(@"^tags\.`([^`]+)` = '([^']+)'$")]
    private static partial Regex TagFilter();

    [GeneratedRegex(@"^[/\w.\- ]+$")]
    private static partial Regex Name();
}
