using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Tests;

public sealed class OpenAiFilesTests(Api api)
{
    private const string Rows = "{\"prompt\": \"a\", \"completion\": \"b\"}\n";

    [Fact]
    public async Task A_file_is_a_dataset_under_another_id()
    {
        var file = await Upload("rows.jsonl");

        Assert.Equal(["bytes", "created_at", "filename", "id", "object", "purpose", "status"], file.Select(member => member.Key).Order());
        Assert.Equal(("file", Rows.Length, "rows.jsonl", "fine-tune", "processed"), ((string?)file["object"], (int)file["bytes"]!, (string?)file["filename"], (string?)file["purpose"], (string?)file["status"]));
        Assert.InRange((long)file["created_at"]!, TimeProvider.System.GetUtcNow().ToUnixTimeSeconds() - 60, TimeProvider.System.GetUtcNow().ToUnixTimeSeconds() + 1);
        var id = (string)file["id"]!;
        Assert.Matches("^file-[0-9a-f]{32}$", id);
        Assert.Equal("rows.jsonl", (string)(await api.Get($"/datasets/ds_{id["file-".Length..]}"))["name"]!);
        Assert.Equal(file.ToJsonString(), (await api.Get($"/v1/files/{id}")).ToJsonString());
        Assert.Equal(Rows, await api.Http.GetStringAsync($"/v1/files/{id}/content", Api.Cancel));
        Assert.Equal($$"""{"id":"{{id}}","object":"file","deleted":true}""", (await Api.Read(await api.Http.DeleteAsync($"/v1/files/{id}", Api.Cancel), HttpStatusCode.OK)).ToJsonString());
        await api.Get($"/v1/files/{id}", HttpStatusCode.NotFound);
    }

    [Theory]
    [InlineData("rows.jsonl", "assistants", "purpose", "fine-tune")]
    [InlineData("rows.jsonl", null, "purpose", "fine-tune")]
    [InlineData("rows.exe", "fine-tune", "file", ".jsonl")]
    public async Task What_is_no_file_for_fine_tuning_is_refused(string name, string? purpose, string param, string wayOut)
    {
        var error = await Api.Read(await api.Http.PostAsync("/v1/files", Form(name, Rows, purpose), Api.Cancel), HttpStatusCode.BadRequest);

        Assert.Equal(param, (string?)error["param"]);
        Assert.Contains(wayOut, (string)error["message"]!);
    }

    [Fact]
    public async Task A_broken_line_is_told_with_its_place()
    {
        var error = await Api.Read(await api.Http.PostAsync("/v1/files", Form("rows.jsonl", Rows + "{oops\n"), Api.Cancel), HttpStatusCode.BadRequest);

        Assert.Equal("file", (string?)error["param"]);
        Assert.StartsWith("rows.jsonl:2: ", (string)error["message"]!);
    }

    [Fact]
    public async Task Too_large_a_file_is_refused_and_one_that_is_to_expire()
    {
        await Api.Read(await api.Http.PostAsync("/v1/files", Form("rows.jsonl", new string('x', 2_000_001)), Api.Cancel), HttpStatusCode.RequestEntityTooLarge);
        var form = Form("rows.jsonl", Rows);
        form.Add(new StringContent("created_at"), "expires_after[anchor]");
        Assert.Equal("expires_after", (string?)(await Api.Read(await api.Http.PostAsync("/v1/files", form, Api.Cancel), HttpStatusCode.BadRequest))["param"]);
    }

    [Fact]
    public async Task Pages_go_by_the_last_id_in_both_directions()
    {
        using var http = await api.NewProject(); // Other tests upload meanwhile.
        var ids = new List<string>();
        for (var i = 0; i < 3; i++)
            ids.Add((string)(await Api.Read(await http.PostAsync("/v1/files", Form($"page-{i}.jsonl", Rows), Api.Cancel), HttpStatusCode.OK))["id"]!);

        var first = await Get("?purpose=fine-tune&limit=2");
        var second = await Get($"?purpose=fine-tune&limit=1&after={first["last_id"]}");
        var last = await Get($"?purpose=fine-tune&order=asc&after={ids[1]}");
        var none = await Get("?purpose=batch");

        async Task<JsonObject> Get(string query) => await Api.Read(await http.GetAsync($"/v1/files{query}", Api.Cancel), HttpStatusCode.OK);

        Assert.Equal(("list", ids[2], ids[1], true), ((string?)first["object"], (string?)first["first_id"], (string?)first["last_id"], (bool)first["has_more"]!));
        Assert.Equal(ids[0], (string?)second["data"]![0]!["id"]);
        Assert.Equal([ids[2]], last["data"]!.AsArray().Select(file => (string?)file!["id"]));
        Assert.False((bool)last["has_more"]!);
        Assert.Equal(["data", "first_id", "has_more", "last_id", "object"], none.Select(member => member.Key).Order());
        Assert.Empty(none["data"]!.AsArray());
    }

    [Fact]
    public async Task The_results_of_an_ended_job_are_a_file()
    {
        var (job, name) = await EndedJob.Put(api);
        var id = $"file-results-{job["job_".Length..]}";

        var content = await api.Http.GetStringAsync($"/v1/files/{id}/content", Api.Cancel);
        var file = await api.Get($"/v1/files/{id}");
        var listed = await api.Get("/v1/files?purpose=fine-tune-results&limit=1");

        Assert.Equal("step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n1,2.5,0.25,,\n2,1.5,0.5,1.75,0.375\n", content);
        Assert.Equal(("fine-tune-results", content.Length), ((string?)file["purpose"], (int)file["bytes"]!));
        Assert.NotEmpty(listed["data"]!.AsArray());
        Assert.Equal([id], (await api.Get($"/v1/fine_tuning/jobs/ftjob-{job["job_".Length..]}"))["result_files"]!.AsArray().Select(one => (string?)one));
        await Api.Read(await api.Http.DeleteAsync($"/v1/files/{id}", Api.Cancel), HttpStatusCode.Conflict);
        Assert.StartsWith("ft:tiny-llama:", name);
    }

    [Fact]
    public async Task A_file_that_a_job_uses_stays()
    {
        var job = await api.PostJob();
        var used = (string)(await api.Get($"/jobs/{job}"))["spec"]!["dataset"]!["train"]!;

        Assert.Contains("uses this dataset", (string)(await Api.Read(await api.Http.DeleteAsync($"/v1/files/file-{used["ds_".Length..]}", Api.Cancel), HttpStatusCode.Conflict))["message"]!);
    }

    internal static MultipartFormDataContent Form(string name, string content, string? purpose = "fine-tune")
    {
        var form = new MultipartFormDataContent { { new ByteArrayContent(Encoding.UTF8.GetBytes(content)), "file", name } };
        if (purpose is not null)
            form.Add(new StringContent(purpose), "purpose");
        return form;
    }

    private async Task<JsonObject> Upload(string name) => await Api.Read(await api.Http.PostAsync("/v1/files", Form(name, Rows), Api.Cancel), HttpStatusCode.OK);
}

/// <summary>A job of OpenAI's clients that is over.</summary>
internal static class EndedJob
{
    /// <summary>A job as it is after a run of two steps, with both checkpoints; and its model's name.</summary>
    public static async Task<(string Id, string Model)> Put(Api api, JobStatus status = JobStatus.Succeeded)
    {
        var (id, now) = (Ids.NewJob(), TimeProvider.System.GetUtcNow());
        await api.InDatabase(db =>
        {
            db.Jobs.Add(new()
            {
                Id = id,
                Status = status,
                Name = "House Style",
                CreatedAt = now.AddMinutes(-2),
                StartedAt = now.AddMinutes(-1),
                FinishedAt = status.IsTerminal() ? now : null,
                Resolutions = "[]",
                Attempt = 1,
                Step = 2,
                TotalSteps = 2,
                EtaSeconds = status == JobStatus.Running ? 1 : null,
                Client = """{"model": "tiny-llama", "suffix": "House Style", "learning_rate_multiplier": 2}""",
                Spec = $$"""{"base_model": "tiny-llama", "task": {"type": "sft"}, "dataset": {"train": "ds_1", "validation": "ds_2"}, "method": {"type": "lora"}, "training": {"num_train_epochs": 2, "per_device_train_batch_size": 4, "learning_rate": 4e-4, "seed": 7}, "metadata": {"run": "{{id}}"} }""",
            });
            foreach (var (seq, step, name, value) in new[] { (2L, 1, "loss", 2.5), (2, 1, "mean_token_accuracy", 0.25), (3, 2, "loss", 1.5), (3, 2, "mean_token_accuracy", 0.5), (3, 2, "num_input_tokens_seen", 640), (4, 2, "eval_loss", 1.75), (4, 2, "eval_mean_token_accuracy", 0.375) })
                db.Metrics.Add(new() { JobId = id, Seq = seq, Name = name, Step = step, Epoch = step, Value = value, Time = now });
            foreach (var (seq, type, data) in new (long?, string, string)[]
                     {
                         (null, "status", """{"status": "running", "attempt": 1}"""),
                         (1, "started", "{}"),
                         (2, "log", """{"step": 1, "metrics": {"loss": 2.5, "mean_token_accuracy": 0.25}}"""),
                         (3, "log", """{"step": 2, "metrics": {"loss": 1.5, "mean_token_accuracy": 0.5}}"""),
                         (4, "evaluate", """{"step": 2, "metrics": {"eval_loss": 1.75, "eval_mean_token_accuracy": 0.375}}"""),
                         (5, "save", """{"step": 2}"""),
                         (6, "note", """{"level": "warning", "code": "x", "message": "Look here."}"""),
                         (null, "status", """{"status": "succeeded", "attempt": 1}"""),
                     })
                db.Events.Add(new() { JobId = id, Seq = seq, Type = type, Time = now, Data = data });
            foreach (var step in new[] { 1, 2 })
                db.Checkpoints.Add(new()
                {
                    JobId = id,
                    Step = step,
                    Epoch = step,
                    Path = $"checkpoints/checkpoint-{step}",
                    Bytes = 1,
                    Best = step == 2,
                    Final = step == 2,
                    Metrics = step == 2 ? """{"eval_loss": 1.75, "eval_mean_token_accuracy": 0.375}""" : "{}",
                    CreatedAt = now,
                });
            return db.SaveChangesAsync(Api.Cancel);
        });
        foreach (var step in new[] { 1, 2 })
        {
            var folder = Directory.CreateDirectory(api.Storage.Run(id).Checkpoint(step)).FullName;
            foreach (var file in Directory.EnumerateFiles(Path.Combine(Api.Output, "models", "tiny-llama")))
                File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        }
        var project = await api.InDatabase(db => db.Projects.Where(project => project.Id == Project.Default).Select(project => project.Name).SingleAsync(Api.Cancel));
        return (id, $"ft:tiny-llama:{project.ToLowerInvariant()}:house-style:{id[^12..]}");
    }
}
