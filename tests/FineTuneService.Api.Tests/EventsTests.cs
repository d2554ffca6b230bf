using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Tests;

public sealed class EventsTests(Api api)
{
    [Fact]
    public async Task Events_are_read_page_by_page()
    {
        var id = await api.PutJob(JobStatus.Running);
        var ids = await Happen(id, 1, 5);

        var first = await api.Get($"/jobs/{id}/events?limit=3");
        var second = await api.Get($"/jobs/{id}/events?limit=3&after={first["next_after"]}");

        Assert.True((bool)first["has_more"]!);
        Assert.False((bool)second["has_more"]!);
        Assert.Equal(ids, first["data"]!.AsArray().Concat(second["data"]!.AsArray()).Select(happened => (long)happened!["id"]!));
        Assert.Equal("""{"loss":1}""", first["data"]![0]!["data"]!["metrics"]!.ToJsonString());
    }

    [Fact]
    public async Task Only_the_last_are_read_and_only_of_the_types_that_are_asked_for()
    {
        var id = await api.PutJob(JobStatus.Running);
        var ids = await Happen(id, 1, 5);
        await api.InDatabase(db => db.Events.Where(happened => happened.JobId == id && (happened.Id == ids[1] || happened.Id == ids[3])).ExecuteUpdateAsync(happened => happened.SetProperty(row => row.Type, "note"), Api.Cancel));

        async Task<IEnumerable<long>> Ids(string query) => (await api.Get($"/jobs/{id}/events?{query}"))["data"]!.AsArray().Select(happened => (long)happened!["id"]!);
        Assert.Equal(ids[3..], await Ids("last=2"));
        Assert.Equal(ids, await Ids("last=9"));
        Assert.Equal([ids[1], ids[3]], await Ids("types=note"));
        Assert.Equal([ids[3]], await Ids("types=note&last=1"));
        Assert.Equal([ids[0], ids[1], ids[2], ids[3]], await Ids("types=note,%20log&limit=4"));
        Assert.Equal(["?last"], Api.Pointers(await api.Get($"/jobs/{id}/events?last=1001", HttpStatusCode.UnprocessableEntity)));

        using var stream = await Open(id, query: "?last=0");
        var live = await Happen(id, 6, 1);
        Assert.Equal(live, await stream.Next(1));
    }

    [Fact]
    public async Task A_stream_replays_what_was_missed_goes_on_live_and_ends_with_the_job()
    {
        var id = await api.PutJob(JobStatus.Running);
        var before = await Happen(id, 1, 4);

        using var stream = await Open(id, lastEventId: before[1]);
        Assert.Equal(before[2..], await stream.Next(2));

        var live = await Happen(id, 5, 1);
        Assert.Equal(live, await stream.Next(1));

        await api.InDatabase(db => db.Jobs.Where(job => job.Id == id).ExecuteUpdateAsync(job => job.SetProperty(row => row.Status, JobStatus.Succeeded), Api.Cancel));
        var last = await Happen(id, 6, 1);
        Assert.Equal(last, await stream.Next(1));
        Assert.Empty(await stream.Next(1));
    }

    [Fact]
    public async Task Every_stream_hears_of_its_own_job_only()
    {
        var (one, other) = (await api.PutJob(JobStatus.Running), await api.PutJob(JobStatus.Running));
        using var first = await Open(one);
        using var second = await Open(one);
        using var third = await Open(other);

        var ids = await Happen(one, 1, 2);
        var others = await Happen(other, 1, 1);

        Assert.Equal(ids, await first.Next(2));
        Assert.Equal(ids, await second.Next(2));
        Assert.Equal(others, await third.Next(1));
    }

    [Fact]
    public async Task A_stream_of_an_ended_job_that_was_read_tells_the_browser_to_stop()
    {
        var id = await api.PutJob(JobStatus.Failed);
        var ids = await Happen(id, 1, 1);

        using var request = Request(id, ids[0]);
        using var response = await api.Http.SendAsync(request, Api.Cancel);

        Assert.Equal(HttpStatusCode.NoContent, response.StatusCode);
    }

    /// <summary>Writes lines as the worker does, with the notification in the same transaction.</summary>
    private Task<long[]> Happen(string jobId, int seq, int count) => api.InDatabase(async db =>
    {
        var happened = Enumerable.Range(seq, count).Select(number => new JobEvent
        {
            JobId = jobId,
            Seq = number,
            Type = "log",
            Time = TimeProvider.System.GetUtcNow(),
            Data = $$"""{"type": "log", "seq": {{number}}, "metrics": {"loss": 1} }""",
        }).ToArray();
        await using var transaction = await db.Database.BeginTransactionAsync(Api.Cancel);
        db.Events.AddRange(happened);
        await db.SaveChangesAsync(Api.Cancel);
        await db.Database.ExecuteSqlAsync($"SELECT pg_notify('finetune_events', {jobId})", Api.Cancel);
        await transaction.CommitAsync(Api.Cancel);
        return happened.Select(row => row.Id).ToArray();
    });

    private static HttpRequestMessage Request(string jobId, long? lastEventId, string query = "")
    {
        var request = new HttpRequestMessage(HttpMethod.Get, $"/jobs/{jobId}/events{query}");
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("text/event-stream"));
        if (lastEventId is not null)
            request.Headers.Add("Last-Event-ID", lastEventId.Value.ToString(CultureInfo.InvariantCulture));
        return request;
    }

    private async Task<Reading> Open(string jobId, long? lastEventId = null, string query = "")
    {
        using var request = Request(jobId, lastEventId, query);
        var response = await api.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Api.Cancel);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.MediaType);
        return new(response, new StreamReader(await response.Content.ReadAsStreamAsync(Api.Cancel)));
    }

    private sealed record Reading(HttpResponseMessage Response, StreamReader Lines) : IDisposable
    {
        /// <summary>Ids of the next events; fewer when the stream ends.</summary>
        public async Task<long[]> Next(int count)
        {
            var ids = new List<long>();
            while (ids.Count < count && await Lines.ReadLineAsync(Api.Cancel) is { } line)
            {
                if (!line.StartsWith("id: ", StringComparison.Ordinal))
                    continue;
                Assert.Equal("event: log", await Lines.ReadLineAsync(Api.Cancel));
                var id = (long)JsonNode.Parse((await Lines.ReadLineAsync(Api.Cancel))!["data: ".Length..])!["id"]!;
                Assert.Equal($"id: {id}", line);
                ids.Add(id);
            }
            return [.. ids];
        }

        public void Dispose() => Response.Dispose();
    }
}
