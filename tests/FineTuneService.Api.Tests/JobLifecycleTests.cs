using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneService.Api.Tests;

/// <summary>What users ask of jobs that were posted.</summary>
public sealed class JobLifecycleTests(Api api)
{
    [Fact]
    public async Task A_job_that_does_not_start_by_itself_waits_for_start()
    {
        var id = await api.PostJob(""", "scheduling": {"auto_start": false}""");
        Assert.Equal("waiting", (string?)(await api.Get($"/jobs/{id}"))["status"]);

        Assert.Equal("queued", (string?)(await api.Post($"/jobs/{id}/start", "", HttpStatusCode.OK))["status"]);

        await api.Post($"/jobs/{id}/start", "", HttpStatusCode.Conflict);
    }

    [Fact]
    public async Task A_waiting_job_is_paused_and_resumed()
    {
        var id = await api.PostJob();

        Assert.Equal("paused", (string?)(await api.Post($"/jobs/{id}/pause", "", HttpStatusCode.OK))["status"]);
        await api.Post($"/jobs/{id}/pause", "", HttpStatusCode.Conflict);
        Assert.Equal("queued", (string?)(await api.Post($"/jobs/{id}/resume", "", HttpStatusCode.OK))["status"]);
        await api.Post($"/jobs/{id}/resume", "", HttpStatusCode.Conflict);
    }

    [Fact]
    public async Task A_running_job_is_told_to_pause()
    {
        var id = await api.PutJob(JobStatus.Running);

        var job = await api.Post($"/jobs/{id}/pause", "", HttpStatusCode.Accepted);

        Assert.Equal("running", (string?)job["status"]);
        Assert.NotNull(job["pause_requested_at"]);
        Assert.Equal(RunOrder.Pause, await api.Services.GetRequiredService<JobStates>().Heartbeat(id, 1, Api.Cancel));
    }

    [Fact]
    public async Task A_failed_job_is_retried_with_all_its_attempts()
    {
        var id = await api.PutJob(JobStatus.Failed);

        var job = await api.Post($"/jobs/{id}/retry", "", HttpStatusCode.OK);

        Assert.Equal(("queued", 1), ((string?)job["status"], (int)job["attempt"]!));
        Assert.Null(job["finished_at"]);
        Assert.Equal(1, await api.InDatabase(db => db.Jobs.Where(row => row.Id == id).Select(row => row.ForgivenAttempts).SingleAsync(Api.Cancel)));
        await api.Post($"/jobs/{id}/retry", "", HttpStatusCode.Conflict);
        await api.Post($"/jobs/{await api.PutJob(JobStatus.Succeeded)}/retry", "", HttpStatusCode.Conflict);
    }

    [Fact]
    public async Task A_clone_is_the_same_but_for_what_is_changed()
    {
        var id = await api.PostJob(""", "name": "first", "training": {"learning_rate": 3e-4, "num_train_epochs": 2}""");

        var clone = await api.Post($"/jobs/{id}/clone", """{"name": null, "training": {"learning_rate": 1e-5}}""", HttpStatusCode.Created);

        Assert.NotEqual(id, (string?)clone["id"]);
        Assert.Null(clone["name"]);
        Assert.Equal((1e-5, 2.0), ((double)clone["spec"]!["training"]!["learning_rate"]!, (double)clone["spec"]!["training"]!["num_train_epochs"]!));
        Assert.Equal(["/training/learning_rate"], Api.Pointers(await api.Post($"/jobs/{id}/clone", """{"training": {"learning_rate": -1}}""", HttpStatusCode.UnprocessableEntity)));
        await api.Post($"/jobs/{id}/clone", "[]", HttpStatusCode.UnprocessableEntity);
    }

    [Fact]
    public async Task An_edit_counts_a_version_and_an_old_version_is_refused()
    {
        var id = await api.PostJob();
        var tag = await Tag(id);

        var edited = await Send(HttpMethod.Patch, $"/jobs/{id}", tag, """{"name": "urgent", "priority": 7, "metadata": {"team": "search"}}""", HttpStatusCode.OK);

        Assert.Equal(("urgent", 7, "search"), ((string?)edited["name"], (int)edited["priority"]!, (string?)edited["spec"]!["metadata"]!["team"]));
        Assert.NotEqual(tag, await Tag(id));
        foreach (var (method, path) in new[] { (HttpMethod.Patch, ""), (HttpMethod.Post, "/cancel"), (HttpMethod.Post, "/pause"), (HttpMethod.Delete, "") })
            await Send(method, $"/jobs/{id}{path}", tag, "{}", HttpStatusCode.PreconditionFailed);
        await Send(HttpMethod.Post, $"/jobs/{id}/cancel", "\"x\"", "", HttpStatusCode.PreconditionFailed);
        await Send(HttpMethod.Post, $"/jobs/{id}/cancel", await Tag(id), "", HttpStatusCode.OK);
    }

    [Fact]
    public async Task What_is_wrong_with_an_edit_or_a_schedule_is_told()
    {
        var id = await api.PostJob();
        Assert.Equal(["/priority"], Api.Pointers(await Send(HttpMethod.Patch, $"/jobs/{id}", null, """{"priority": 101}""", HttpStatusCode.UnprocessableEntity)));
        Assert.Equal(["/deadline"], Api.Pointers(await Send(HttpMethod.Patch, $"/jobs/{id}", null, """{"deadline": "2001-01-01T00:00:00Z"}""", HttpStatusCode.UnprocessableEntity)));

        var failed = await api.PutJob(JobStatus.Failed);
        var problem = await api.Post(
            "/jobs",
            $$"""{"base_model": "tiny-bert-en", "task": "text-classification", "dataset": {"train": "ds_0"}, "scheduling": {"deadline": "2001-01-01T00:00:00Z", "auto_start": false, "depends_on": ["{{failed}}", "job_0"]} }""",
            HttpStatusCode.UnprocessableEntity);
        Assert.Superset(
            new HashSet<string> { "/scheduling/auto_start", "/scheduling/deadline", "/scheduling/depends_on/0", "/scheduling/depends_on/1" }, Api.Pointers(problem).ToHashSet());
        Assert.Equal(["/scheduling/requires"], Api.Pointers(await api.Post(
            "/jobs", """{"base_model": "tiny-bert-en", "task": "text-classification", "dataset": {"train": "ds_0"}, "scheduling": {"requires": "A GPU!"} }""", HttpStatusCode.UnprocessableEntity)).Where(pointer => pointer != "/dataset/train"));
    }

    [Fact]
    public async Task A_deadline_is_kept_as_it_was_given()
    {
        var id = await api.PostJob(""", "scheduling": {"deadline": "2099-01-31T12:00:00+01:00", "max_runtime_seconds": 60}""");

        Assert.Equal(new DateTimeOffset(2099, 1, 31, 11, 0, 0, TimeSpan.Zero), (DateTimeOffset)(await api.Get($"/jobs/{id}"))["deadline"]!);
        await Send(HttpMethod.Patch, $"/jobs/{id}", null, """{"deadline": "2098-01-01T00:00:00Z"}""", HttpStatusCode.OK);
        Assert.Equal(["/deadline"], Api.Pointers(await Send(HttpMethod.Patch, $"/jobs/{id}", null, """{"deadline": "tomorrow"}""", HttpStatusCode.UnprocessableEntity)));
        Assert.Equal(["/deadline"], Api.Pointers(await Send(HttpMethod.Patch, $"/jobs/{id}", null, """{"deadline": "\ud800"}""", HttpStatusCode.UnprocessableEntity)));
    }

    [Fact]
    public async Task The_place_in_the_queue_follows_priority()
    {
        var requires = $"r{Guid.NewGuid():N}"[..12];
        var first = await api.PostJob($$""", "scheduling": {"requires": "{{requires}}"}""");
        var second = await api.PostJob($$""", "scheduling": {"requires": "{{requires}}", "priority": 5}""");

        Assert.Equal((1, 0), (await Position(first), await Position(second)));
        await Send(HttpMethod.Patch, $"/jobs/{first}", null, """{"priority": 6}""", HttpStatusCode.OK);
        Assert.Equal((0, 1), (await Position(first), await Position(second)));

        async Task<int> Position(string id) => (int)(await api.Get($"/jobs/{id}"))["queue"]!["position"]!;
    }

    [Fact]
    public async Task Deleting_an_ended_job_leaves_nothing_of_it()
    {
        var (id, folder) = await api.PutCheckpoint();
        await File.WriteAllTextAsync(Path.Combine(folder, "model.safetensors"), "weights", Api.Cancel);

        await Api.Read(await api.Http.DeleteAsync($"/jobs/{id}", Api.Cancel), HttpStatusCode.NoContent);

        await api.Get($"/jobs/{id}", HttpStatusCode.NotFound);
        Assert.False(Directory.Exists(api.Storage.Run(id).Path));
        Assert.Equal(0, await api.InDatabase(async db => await db.Checkpoints.CountAsync(row => row.JobId == id) + await db.Events.CountAsync(row => row.JobId == id) + await db.Metrics.CountAsync(row => row.JobId == id)));
        await Api.Read(await api.Http.DeleteAsync($"/jobs/{id}", Api.Cancel), HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task A_job_is_kept_while_it_has_not_ended_or_another_needs_it()
    {
        var needed = await api.PutJob(JobStatus.Succeeded);
        var dependent = await api.PostJob($$""", "scheduling": {"depends_on": ["{{needed}}"]}""");

        await Api.Read(await api.Http.DeleteAsync($"/jobs/{dependent}", Api.Cancel), HttpStatusCode.Conflict);
        Assert.Contains(dependent, (string?)(await Api.Read(await api.Http.DeleteAsync($"/jobs/{needed}", Api.Cancel), HttpStatusCode.Conflict))["detail"]);
        await api.Post($"/jobs/{dependent}/cancel", "", HttpStatusCode.OK);
        await Api.Read(await api.Http.DeleteAsync($"/jobs/{needed}", Api.Cancel), HttpStatusCode.NoContent);
    }

    [Fact]
    public async Task A_job_is_kept_for_a_sweep_whose_jobs_are_still_to_come()
    {
        var needed = await api.PutJob(JobStatus.Succeeded);
        var sweep = Ids.NewSweep();
        await api.InDatabase(db =>
        {
            db.Sweeps.Add(new() { Id = sweep, Status = SweepStatus.Running, Spec = "{}", Metric = "eval_loss", GreaterIsBetter = false, MaxConcurrentJobs = 1, CreatedAt = TimeProvider.System.GetUtcNow() });
            db.SweepTrials.Add(new() { SweepId = sweep, Number = 1, Rung = 0, Parameters = "{}", Resolutions = "[]", Spec = $$"""{"base_model": "job:{{needed}}@7"}""" });
            return db.SaveChangesAsync(Api.Cancel);
        });

        Assert.Contains(sweep, (string?)(await Api.Read(await api.Http.DeleteAsync($"/jobs/{needed}", Api.Cancel), HttpStatusCode.Conflict))["detail"]);
        await api.InDatabase(db => db.Sweeps.Where(row => row.Id == sweep).ExecuteDeleteAsync(Api.Cancel));
        await api.InDatabase(db => db.SweepTrials.Where(row => row.SweepId == sweep).ExecuteDeleteAsync(Api.Cancel));
        await Api.Read(await api.Http.DeleteAsync($"/jobs/{needed}", Api.Cancel), HttpStatusCode.NoContent);
    }

    [Fact]
    public async Task A_retry_by_hand_has_as_much_running_time_as_a_new_job_and_usage_counts_on()
    {
        var id = await api.PostJob(""", "scheduling": {"max_runtime_seconds": 60}""");
        await Put(JobStatus.Failed, seconds: 61);
        await api.Post($"/jobs/{id}/retry", "", HttpStatusCode.OK);

        await Put(JobStatus.Running, seconds: 120);
        Assert.Equal(RunOrder.GoOn, await Order());
        await Put(JobStatus.Running, seconds: 122);
        Assert.Equal(RunOrder.OutOfTime, await Order());

        await Put(JobStatus.Paused, seconds: 122);
        await api.Post($"/jobs/{id}/resume", "", HttpStatusCode.OK);
        await Put(JobStatus.Running, seconds: 122);
        Assert.Equal(RunOrder.OutOfTime, await Order());
        Assert.Equal(60, (double)(await api.Get($"/jobs/{id}"))["spec"]!["scheduling"]!["max_runtime_seconds"]!);

        Task<int> Put(JobStatus status, double seconds) => api.InDatabase(db => db.Jobs.Where(job => job.Id == id).ExecuteUpdateAsync(
            job => job.SetProperty(row => row.Status, status).SetProperty(row => row.RunSeconds, seconds).SetProperty(row => row.Attempt, 1).SetProperty(row => row.HeartbeatAt, TimeProvider.System.GetUtcNow()), Api.Cancel));
        Task<RunOrder> Order() => api.Services.GetRequiredService<JobStates>().Heartbeat(id, 1, Api.Cancel);
    }

    [Fact]
    public async Task A_job_whose_deadline_has_passed_is_told_to_get_a_later_one()
    {
        var id = await api.PutJob(JobStatus.Failed);
        await api.InDatabase(db => db.Jobs.Where(job => job.Id == id).ExecuteUpdateAsync(job => job.SetProperty(row => row.Deadline, TimeProvider.System.GetUtcNow().AddHours(-1)), Api.Cancel));

        Assert.Contains($"PATCH /jobs/{id}", (string?)(await api.Post($"/jobs/{id}/retry", "", HttpStatusCode.Conflict))["detail"]);
        await Send(HttpMethod.Patch, $"/jobs/{id}", null, """{"deadline": "2099-01-01T00:00:00Z"}""", HttpStatusCode.OK);
        await api.Post($"/jobs/{id}/retry", "", HttpStatusCode.OK);
    }

    private async Task<string> Tag(string id)
    {
        using var answer = await api.Http.GetAsync($"/jobs/{id}", Api.Cancel);
        return answer.Headers.ETag!.Tag;
    }

    private async Task<JsonObject> Send(HttpMethod method, string path, string? ifMatch, string body, HttpStatusCode expected)
    {
        using var request = new HttpRequestMessage(method, path) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        if (ifMatch is not null)
            request.Headers.TryAddWithoutValidation("If-Match", ifMatch);
        return await Api.Read(await api.Http.SendAsync(request, Api.Cancel), expected);
    }
}
