using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using FineTuneService.Contracts;
using FineTuneService.Storage.Telemetry;

namespace FineTuneService.Api.Tests;

public sealed partial class MetricsEndpointTests(Api api)
{
    [Fact]
    public async Task A_posted_job_lengthens_its_queue()
    {
        const string Jobs = "finetune_jobs", Length = "finetune_queue_length";
        await WaitFor(series => Value(series, Length, "queue", "default") is not null);
        await api.PostJob(""", "scheduling": {"requires": "wafer"}""");

        var series = await WaitFor(series => Value(series, Length, "queue", "wafer") == 1 && Value(series, Jobs, "status", "paused") is not null);

        Assert.InRange(Value(series, "finetune_queue_oldest_seconds", "queue", "wafer")!.Value, 0, 60);
        Assert.True(Value(series, Jobs, "status", "queued") >= 1);
    }

    [Fact]
    public async Task A_jobs_trace_has_its_id_and_a_link_to_the_request()
    {
        var (spans, client) = (new List<Activity>(), ActivityTraceId.CreateRandom());
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == JobTrace.SourceName,
            Sample = (ref _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStopped = span => { lock (spans) spans.Add(span); },
        };
        ActivitySource.AddActivityListener(listener);
        api.Http.DefaultRequestHeaders.Add("traceparent", $"00-{client}-{ActivitySpanId.CreateRandom()}-01");
        string id;
        try
        {
            id = await api.PostJob();
        }
        finally
        {
            api.Http.DefaultRequestHeaders.Remove("traceparent");
        }

        Activity span;
        lock (spans)
            span = spans.Single(span => Equals(span.GetTagItem(JobTrace.JobId), id));
        Assert.Equal(("queue job", $"{Ids.GuidOf(id):N}"), (span.OperationName, span.TraceId.ToHexString()));
        Assert.Equal(client, Assert.Single(span.Links).Context.TraceId);
    }

    /// <summary>Lines such as <c>name{label="value",…} 1.5</c>, until they are as wanted: the tables are read every few seconds.</summary>
    private async Task<List<string>> WaitFor(Func<List<string>, bool> wanted)
    {
        for (var patience = Stopwatch.StartNew(); ; await Task.Delay(200, Api.Cancel))
        {
            var series = (await api.Http.GetStringAsync("/metrics", Api.Cancel)).Split('\n').Where(line => line.Length > 0 && line[0] != '#').ToList();
            Assert.All(series, line => Assert.Matches(Line(), line));
            if (wanted(series))
                return series;
            Assert.True(patience.Elapsed < TimeSpan.FromSeconds(30), string.Join('\n', series));
        }
    }

    private static double? Value(List<string> series, string name, string label, string value) =>
        series.Find(line => line.StartsWith(name + "{", StringComparison.Ordinal) && line.Contains($"{label}=\"{value}\"", StringComparison.Ordinal)) is { } found
            ? double.Parse(found[(found.LastIndexOf('}') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries)[0], CultureInfo.InvariantCulture)
            : null;

    [GeneratedRegex("""^[a-z_][a-z0-9_]*(\{([a-z_][a-z0-9_]*="[^"]*",?)*\})? \S+( \d+)?$""")]
    private static partial Regex Line();
}
