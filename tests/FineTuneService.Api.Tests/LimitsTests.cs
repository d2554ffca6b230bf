using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using FineTuneService.Api.Access;
using FineTuneService.Api.Retention;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.Tests;

/// <summary>What a project may take, and for how long things are kept.</summary>
public sealed class LimitsTests(Api api) : IDisposable
{
    private readonly HttpClient _http = new(new SocketsHttpHandler()) { BaseAddress = api.Http.BaseAddress };

    public void Dispose() => _http.Dispose();

    [Fact]
    public async Task Jobs_beyond_the_limit_of_waiting_ones_are_refused_until_there_is_room()
    {
        await ActIn("""{"max_queued_jobs": 1}""");
        var spec = await Spec();
        var first = (string)(await Post("/jobs", spec, HttpStatusCode.Created))["id"]!;

        Assert.Contains("its limit is 1", (string?)(await Post("/jobs", spec, HttpStatusCode.TooManyRequests))["detail"]);
        await Post("/sweeps", $$"""{"spec": {{spec}}, "parameters": {"/training/learning_rate": {"values": [1e-4]} } }""", HttpStatusCode.TooManyRequests);

        await Post($"/jobs/{first}/cancel", "", HttpStatusCode.OK);
        await Post("/jobs", spec, HttpStatusCode.Created);
    }

    [Fact]
    public async Task A_job_that_comes_back_into_the_queue_counts_as_a_new_one()
    {
        await ActIn("""{"max_queued_jobs": 1}""");
        var spec = await Spec();
        var (paused, cancelled) = (await PostJob("pause"), await PostJob("cancel"));
        var waiting = (string)(await Post("/jobs", spec.Replace("\"task\"", "\"scheduling\": {\"auto_start\": false}, \"task\"", StringComparison.Ordinal), HttpStatusCode.Created))["id"]!;

        Assert.Contains("its limit is 1", (string?)(await Post($"/jobs/{paused}/resume", "", HttpStatusCode.TooManyRequests))["detail"]);
        await Post($"/jobs/{cancelled}/retry", "", HttpStatusCode.TooManyRequests);
        await Post($"/v1/fine_tuning/jobs/ftjob-{paused["job_".Length..]}/resume", "", HttpStatusCode.TooManyRequests);
        Assert.Equal("paused", (string?)(await Api.Read(await _http.GetAsync($"/jobs/{paused}", Api.Cancel), HttpStatusCode.OK))["status"]);
        await Post($"/jobs/{waiting}/start", "", HttpStatusCode.OK); // It was counted while it waited.

        await Post($"/jobs/{waiting}/cancel", "", HttpStatusCode.OK);
        await Post($"/jobs/{paused}/resume", "", HttpStatusCode.OK);
        await Post($"/jobs/{cancelled}/retry", "", HttpStatusCode.TooManyRequests);

        async Task<string> PostJob(string then)
        {
            var id = (string)(await Post("/jobs", spec, HttpStatusCode.Created))["id"]!;
            await Post($"/jobs/{id}/{then}", "", HttpStatusCode.OK);
            return id;
        }
    }

    [Fact]
    public async Task Of_those_who_come_back_at_once_as_many_are_let_in_as_there_is_room_for()
    {
        await ActIn("""{"max_queued_jobs": 1}""");
        var spec = await Spec();
        var ids = new List<string>();
        for (var job = 0; job < 6; job++)
        {
            ids.Add((string)(await Post("/jobs", spec, HttpStatusCode.Created))["id"]!);
            await Post($"/jobs/{ids[^1]}/cancel", "", HttpStatusCode.OK);
        }

        var answers = await Task.WhenAll(ids.Select(id => _http.PostAsync($"/jobs/{id}/retry", null, Api.Cancel)));

        Assert.Equal([HttpStatusCode.OK, .. Enumerable.Repeat(HttpStatusCode.TooManyRequests, 5)], answers.Select(answer => answer.StatusCode).Order());
        foreach (var answer in answers)
            answer.Dispose();
    }

    [Fact]
    public async Task Device_hours_run_out()
    {
        var project = await ActIn("""{"max_device_hours": 1.5}""");
        var spec = await Spec();
        var id = (string)(await Post("/jobs", spec, HttpStatusCode.Created))["id"]!;
        await api.InDatabase(db => db.Jobs.Where(job => job.Id == id).ExecuteUpdateAsync(job => job.SetProperty(row => row.RunSeconds, 2 * 3600.0).SetProperty(row => row.StartedAt, TimeProvider.System.GetUtcNow())));

        Assert.Contains("2.0 device hours", (string?)(await Post("/jobs", spec, HttpStatusCode.TooManyRequests))["detail"]);
        await Post($"/jobs/{id}/pause", "", HttpStatusCode.OK);
        await Post($"/jobs/{id}/resume", "", HttpStatusCode.TooManyRequests);
        Assert.Equal(2.0, (double)(await api.Get($"/projects/{project}/usage"))["device_hours"]!, 3);
    }

    [Fact]
    public async Task Storage_runs_out_in_the_middle_of_a_file_and_nothing_stays()
    {
        await ActIn("""{"max_storage_bytes": 1000}""");
        await Upload("text,label\ngood,1\n", HttpStatusCode.Created);

        await Upload("text,label\n" + string.Concat(Enumerable.Repeat("a long row of text,1\n", 100)), HttpStatusCode.RequestEntityTooLarge);
        await Upload("text,label\n" + new string('x', 950) + ",1\n", HttpStatusCode.Created);
        await Upload("text,label\n" + new string('x', 950) + ",1\n", HttpStatusCode.RequestEntityTooLarge);
    }

    [Fact]
    public async Task What_was_kept_for_long_enough_goes()
    {
        var now = TimeProvider.System.GetUtcNow();
        var (old, folder) = await api.PutCheckpoint();
        var (recent, kept) = await api.PutCheckpoint();
        var running = await api.PutJob(JobStatus.Running);
        await File.WriteAllTextAsync(Path.Combine(folder, "model.safetensors"), "weights", Api.Cancel);
        await api.InDatabase(async db =>
        {
            await db.Jobs.Where(job => job.Id == old || job.Id == running).ExecuteUpdateAsync(job => job.SetProperty(row => row.FinishedAt, now.AddDays(-400)));
            return await db.Jobs.Where(job => job.Id == recent).ExecuteUpdateAsync(job => job.SetProperty(row => row.FinishedAt, now.AddDays(-10)));
        });

        await Keep(new() { Checkpoints = TimeSpan.FromDays(300) });
        Assert.Equal((false, true), (Directory.Exists(folder), Directory.Exists(kept)));
        Assert.Empty((await api.Get($"/jobs/{old}/checkpoints"))["data"]!.AsArray());
        Assert.Single((await api.Get($"/jobs/{recent}/checkpoints"))["data"]!.AsArray());

        await Keep(new() { Jobs = TimeSpan.FromDays(300) });
        await api.Get($"/jobs/{old}", HttpStatusCode.NotFound);
        await api.Get($"/jobs/{recent}");
        await api.Get($"/jobs/{running}");
    }

    [Fact]
    public async Task Datasets_that_a_job_names_stay()
    {
        var used = (string)(await api.Upload("used.csv", "text,label\ngood,1\nbad,0\n"))["id"]!;
        var replayed = (string)(await api.Upload("replayed.csv", "text\nbad\n"))["id"]!;
        var remembered = (string)(await api.Upload("remembered.csv", "text\nfine\n"))["id"]!;
        var unused = (string)(await api.Upload("unused.csv", "text,label\ngood,1\n"))["id"]!;
        await api.Post("/jobs", $$"""{"base_model": "tiny-bert-en", "task": "masked-lm", "dataset": {"train": "{{used}}", "replay": {"dataset": "{{replayed}}"}, "earlier": ["{{remembered}}"]} }""", HttpStatusCode.Created);
        await api.InDatabase(db => db.Database.ExecuteSqlAsync($"UPDATE finetune.datasets SET created_at = now() - interval '400 days' WHERE id IN ({used}, {replayed}, {remembered}, {unused})", Api.Cancel));

        await Keep(new() { Datasets = TimeSpan.FromDays(300) });

        await api.Get($"/datasets/{used}");
        await api.Get($"/datasets/{replayed}");
        await api.Get($"/datasets/{remembered}");
        await api.Get($"/datasets/{unused}", HttpStatusCode.NotFound);
        Assert.Single(Directory.GetFiles(api.Storage.DatasetsDirectory, $"*{used}*"));
        Assert.Empty(Directory.GetFiles(api.Storage.DatasetsDirectory, $"*{unused}*"));
    }

    private Task Keep(RetentionSettings settings) => new RetentionService(
        api.Services.GetRequiredService<IDbContextFactory<FineTuneDb>>(), api.Services.GetRequiredService<JobDeletion>(), api.Services.GetRequiredService<DatasetFiles>(), Options.Create(settings), TimeProvider.System, NullLogger<RetentionService>.Instance).Apply(Api.Cancel);

    /// <summary>A project with these limits, in which all that follows is done.</summary>
    private async Task<string> ActIn(string limits)
    {
        var project = (string)(await api.Post("/projects", $$"""{"name": "limited", "limits": {{limits}} }""", HttpStatusCode.Created))["id"]!;
        _http.DefaultRequestHeaders.Authorization = new("Bearer", Api.Key);
        _http.DefaultRequestHeaders.Add(Caller.ProjectHeader, project);
        return project;
    }

    private async Task<string> Spec()
    {
        var dataset = (string)(await Upload("text,label\ngood,1\nbad,0\n", HttpStatusCode.Created))["id"]!;
        return $$"""{"base_model": "tiny-bert-en", "task": "text-classification", "dataset": {"train": "{{dataset}}"} }""";
    }

    private async Task<JsonObject> Upload(string rows, HttpStatusCode expected) => await Api.Read(await _http.PostAsync("/datasets", Api.Form("rows.csv", Encoding.UTF8.GetBytes(rows)), Api.Cancel), expected);

    private async Task<JsonObject> Post(string path, string json, HttpStatusCode expected) => await Api.Read(await _http.PostAsync(path, new StringContent(json, Encoding.UTF8, "application/json"), Api.Cancel), expected);
}
