using System.Net;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Tests;

public sealed class OpenAiJobsTests(Api api)
{
    private const string Chat = """{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello", "weight": 1}]}""" + "\n";
    private const string Preference = """{"input": {"messages": [{"role": "user", "content": "Hi"}]}, "preferred_output": [{"role": "assistant", "content": "Hello"}], "non_preferred_output": [{"role": "assistant", "content": "What?"}]}""" + "\n";

    private static readonly string[] Members =
    [
        "created_at", "error", "estimated_finish", "fine_tuned_model", "finished_at", "hyperparameters", "id", "integrations", "metadata", "method", "model", "object",
        "organization_id", "result_files", "seed", "status", "trained_tokens", "training_file", "user_provided_suffix", "validation_file",
    ];

    [Fact]
    public async Task A_new_job_echoes_what_was_asked_and_what_was_chosen()
    {
        var (train, validation) = (await Upload(Chat), await Upload(Chat));

        var job = await Create($$"""{"model": "tiny-llama", "training_file": "{{train}}", "validation_file": "{{validation}}", "suffix": "Haus & Stil", "metadata": {"team": "red"}, "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2, "learning_rate_multiplier": 2, "batch_size": "auto"} } } }""");

        Assert.Equal(Members, job.Select(member => member.Key).Order());
        Assert.Equal(("fine_tuning.job", "tiny-llama", "queued", train, validation), ((string?)job["object"], (string?)job["model"], (string?)job["status"], (string?)job["training_file"], (string?)job["validation_file"]));
        Assert.Equal("""{"n_epochs":2,"batch_size":8,"learning_rate_multiplier":2}""", job["hyperparameters"]!.ToJsonString());
        Assert.Equal("""{"type":"supervised","supervised":{"hyperparameters":{"n_epochs":2,"batch_size":8,"learning_rate_multiplier":2}}}""", job["method"]!.ToJsonString());
        Assert.Equal(("[]", "[]", """{"team":"red"}"""), (job["result_files"]!.ToJsonString(), job["integrations"]!.ToJsonString(), job["metadata"]!.ToJsonString()));
        foreach (var missing in new[] { "error", "estimated_finish", "fine_tuned_model", "finished_at", "trained_tokens" })
            Assert.True(job.ContainsKey(missing) && job[missing] is null, missing);
        Assert.InRange((int)job["seed"]!, 0, int.MaxValue);
        var native = (await api.Get($"/jobs/job_{Hex(job)}"))["spec"]!;
        Assert.Equal(("sft", "lora", 0.0004, "truncate"), ((string?)native["task"]!["type"], (string?)native["method"]!["type"], (double)native["training"]!["learning_rate"]!, (string?)native["task"]!["over_length"]));
        Assert.Equal(((int)job["seed"]!, "Haus & Stil"), ((int)native["training"]!["seed"]!, (string?)native["name"]));
    }

    [Fact]
    public async Task Preferences_are_read_as_OpenAI_writes_them_and_auto_is_answered_with_numbers()
    {
        var job = await Create($$"""{"model": "tiny-llama", "training_file": "{{await Upload(Preference)}}", "validation_file": null, "suffix": null, "seed": 5, "integrations": null, "method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.2, "n_epochs": "auto"} } } }""");

        Assert.Equal("""{"n_epochs":10,"batch_size":8,"learning_rate_multiplier":1,"beta":0.2}""", job["method"]!["dpo"]!["hyperparameters"]!.ToJsonString());
        Assert.Equal(5, (int)job["seed"]!);
        var native = (await api.Get($"/jobs/job_{Hex(job)}"))["spec"]!;
        Assert.Equal(("dpo", "input", "preferred_output", "non_preferred_output"), ((string?)native["task"]!["type"], (string?)native["dataset"]!["prompt_column"], (string?)native["dataset"]!["chosen_column"], (string?)native["dataset"]!["rejected_column"]));
    }

    [Fact]
    public async Task Labelled_texts_make_a_classifier_and_old_hyperparameters_are_understood()
    {
        var job = await Create($$"""{"model": "tiny-bert-en", "training_file": "{{await Upload("text,label\ngood,1\nbad,0\n", "rows.csv")}}", "hyperparameters": {"n_epochs": 4, "batch_size": 2} }""");

        Assert.Equal((4, 2), ((int)job["hyperparameters"]!["n_epochs"]!, (int)job["hyperparameters"]!["batch_size"]!));
        Assert.Equal("text-classification", (string?)(await api.Get($"/jobs/job_{Hex(job)}"))["spec"]!["task"]!["type"]);
    }

    [Theory]
    [InlineData("""{"model": "tiny-llama"}""", "training_file")]
    [InlineData("""{"model": "tiny-llama", "training_file": "ds_0"}""", "training_file")]
    [InlineData("""{"model": "tiny-llama", "training_file": "file-0"}""", "training_file")]
    [InlineData("""{"model": "tiny-llama", "training_file": "FILE", "validation_file": "file-0"}""", "validation_file")]
    [InlineData("""{"model": "no such", "training_file": "FILE"}""", "model")]
    [InlineData("""{"model": "tiny-bert-en", "training_file": "FILE"}""", "model")]
    [InlineData("""{"model": "tiny-llama", "training_file": "FILE", "method": {"type": "dpo"}}""", "training_file")]
    [InlineData("""{"model": "tiny-llama", "training_file": "FILE", "method": {"type": "reinforcement", "reinforcement": {"grader": {}}}}""", "method.type")]
    [InlineData("""{"model": "tiny-llama", "training_file": "FILE", "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 51}}}}""", "method.supervised.hyperparameters.n_epochs")]
    [InlineData("""{"model": "tiny-llama", "training_file": "FILE", "hyperparameters": {"batch_size": "big"}}""", "hyperparameters.batch_size")]
    [InlineData("""{"model": "tiny-llama", "training_file": "FILE", "hyperparameters": {"learning_rate_multiplier": 9999}}""", "hyperparameters.learning_rate_multiplier")]
    [InlineData("""{"model": "tiny-llama", "training_file": "FILE", "seed": -1}""", "seed")]
    [InlineData("""{"model": "tiny-llama", "training_file": "FILE", "integrations": [{"type": "wandb", "wandb": {"project": "x"}}]}""", "integrations")]
    [InlineData("""{"model": "tiny-llama", "training_file": "FILE", "metadata": {"a": 1}}""", "metadata.a")]
    public async Task A_refusal_names_the_field(string body, string param)
    {
        var error = await api.Post("/v1/fine_tuning/jobs", body.Replace("FILE", await Upload(Chat), StringComparison.Ordinal), HttpStatusCode.BadRequest);

        Assert.True(param == (string?)error["param"], error.ToJsonString());
    }

    [Fact]
    public async Task A_job_that_is_over_tells_its_model_tokens_and_results()
    {
        var (id, model) = await EndedJob.Put(api);

        var job = await api.Get($"/v1/fine_tuning/jobs/ftjob-{id["job_".Length..]}");

        Assert.Equal(("succeeded", model, 640, 7), ((string?)job["status"], (string?)job["fine_tuned_model"], (int)job["trained_tokens"]!, (int)job["seed"]!));
        Assert.NotNull(job["finished_at"]);
        Assert.Null(job["estimated_finish"]);
    }

    [Theory]
    [InlineData(JobStatus.Waiting, "queued")]
    [InlineData(JobStatus.Queued, "queued")]
    [InlineData(JobStatus.Preparing, "running")]
    [InlineData(JobStatus.Running, "running")]
    [InlineData(JobStatus.Retrying, "running")]
    [InlineData(JobStatus.Paused, "paused")]
    [InlineData(JobStatus.Failed, "failed")]
    [InlineData(JobStatus.Cancelled, "cancelled")]
    public async Task States_have_OpenAIs_names(JobStatus ours, string theirs)
    {
        var (id, _) = await EndedJob.Put(api, ours);

        var job = await api.Get($"/v1/fine_tuning/jobs/ftjob-{id["job_".Length..]}");

        Assert.Equal(theirs, (string?)job["status"]);
        Assert.Null(job["fine_tuned_model"]);
        Assert.Equal(ours == JobStatus.Failed, job["error"] is not null);
        // The .NET client sleeps until then; a time that has passed breaks it.
        Assert.Equal(ours == JobStatus.Running, job["estimated_finish"] is not null);
        if (ours == JobStatus.Running)
            Assert.InRange((long)job["estimated_finish"]! - TimeProvider.System.GetUtcNow().ToUnixTimeSeconds(), 5, 60);
    }

    [Fact]
    public async Task Why_a_job_failed_is_told_with_the_field_to_blame()
    {
        var (id, _) = await EndedJob.Put(api, JobStatus.Failed);
        await api.InDatabase(db => db.Jobs.Where(job => job.Id == id).ExecuteUpdateAsync(job => job.SetProperty(row => row.Faults, """[{"pointer": "/training/max_length", "value": "9", "message": "Too many.", "remedy": "Give less."}]"""), Api.Cancel));

        var error = (await api.Get($"/v1/fine_tuning/jobs/ftjob-{id["job_".Length..]}"))["error"]!;

        Assert.Equal("""{"code":"invalid_input","message":"'9': Too many. Give less.","param":"model"}""", error.ToJsonString().Replace("\\u0027", "'", StringComparison.Ordinal));
    }

    [Fact]
    public async Task The_list_goes_by_pages_and_by_metadata()
    {
        var ids = new List<string>();
        for (var i = 0; i < 3; i++)
            ids.Add($"ftjob-{(await EndedJob.Put(api)).Id["job_".Length..]}");

        var first = await api.Get("/v1/fine_tuning/jobs?limit=2");
        var one = await api.Get($"/v1/fine_tuning/jobs?metadata[run]=job_{ids[0]["ftjob-".Length..]}");
        var none = await api.Get("/v1/fine_tuning/jobs?metadata[run]=x&metadata[other]=y");
        var second = await api.Get($"/v1/fine_tuning/jobs?limit=1&after={ids[1]}&metadata%5Brun%5D=job_{ids[0]["ftjob-".Length..]}");
        var bare = await api.Get("/v1/fine_tuning/jobs?metadata=null&limit=100");

        Assert.Equal(["data", "has_more", "object"], first.Select(member => member.Key).Order());
        Assert.Equal(2, first["data"]!.AsArray().Count);
        Assert.True((bool)first["has_more"]!);
        Assert.Equal(ids[0], (string?)Assert.Single(one["data"]!.AsArray())!["id"]);
        Assert.Equal(ids[0], (string?)Assert.Single(second["data"]!.AsArray())!["id"]);
        Assert.Empty(none["data"]!.AsArray());
        Assert.DoesNotContain(bare["data"]!.AsArray(), job => ids.Contains((string)job!["id"]!));
    }

    [Fact]
    public async Task A_queued_job_pauses_resumes_and_is_cancelled_always_with_200()
    {
        var id = (await Create($$"""{"model": "tiny-llama", "training_file": "{{await Upload(Chat)}}" }"""))["id"]!;

        Assert.Equal("paused", (string?)(await api.Post($"/v1/fine_tuning/jobs/{id}/pause", "", HttpStatusCode.OK))["status"]);
        await api.Post($"/v1/fine_tuning/jobs/{id}/pause", "", HttpStatusCode.Conflict);
        Assert.Equal("queued", (string?)(await api.Post($"/v1/fine_tuning/jobs/{id}/resume", "", HttpStatusCode.OK))["status"]);
        Assert.Equal("cancelled", (string?)(await api.Post($"/v1/fine_tuning/jobs/{id}/cancel", "", HttpStatusCode.OK))["status"]);
        await api.Post($"/v1/fine_tuning/jobs/{id}/cancel", "", HttpStatusCode.Conflict);
    }

    [Fact]
    public async Task Events_are_messages_and_metrics_the_newest_first()
    {
        var path = $"/v1/fine_tuning/jobs/ftjob-{(await EndedJob.Put(api)).Id["job_".Length..]}/events";

        var all = await api.Get(path);
        var first = await api.Get(path + "?limit=3");
        var rest = await api.Get($"{path}?after={first["data"]![2]!["id"]}");

        var events = all["data"]!.AsArray();
        Assert.Equal(
            [("message", "info", "The job is done: it succeeded."), ("message", "warn", "Look here."), ("message", "info", "A checkpoint was made at step 2."), ("metrics", "info", "Step 2/2: validation loss 1.75"), ("metrics", "info", "Step 2/2: train loss 1.5"), ("metrics", "info", "Step 1/2: train loss 2.5"), ("message", "info", "The job is running.")],
            events.Select(one => ((string?)one!["type"], (string?)one["level"], (string?)one["message"])));
        Assert.Equal("""{"step":2,"total_steps":2,"train_loss":1.5,"train_mean_token_accuracy":0.5}""", events[4]!["data"]!.ToJsonString());
        Assert.All(events, one => Assert.Equal(["created_at", "data", "id", "level", "message", "object", "type"], one!.AsObject().Select(member => member.Key).Order()));
        Assert.True((bool)first["has_more"]!);
        Assert.Equal(events.Skip(3).Select(one => (string?)one!["id"]), rest["data"]!.AsArray().Select(one => (string?)one!["id"]));
    }

    [Fact]
    public async Task Checkpoints_are_models_with_metrics_the_newest_first()
    {
        var (id, model) = await EndedJob.Put(api);
        var path = $"/v1/fine_tuning/jobs/ftjob-{id["job_".Length..]}/checkpoints";

        var page = await api.Get(path);
        var second = await api.Get($"{path}?after={page["first_id"]}");

        var newest = page["data"]![0]!;
        Assert.Equal(["created_at", "fine_tuned_model_checkpoint", "fine_tuning_job_id", "id", "metrics", "object", "step_number"], newest.AsObject().Select(member => member.Key).Order());
        Assert.Equal((2, $"{model}:ckpt-step-2", $"ftjob-{id["job_".Length..]}"), ((int)newest["step_number"]!, (string?)newest["fine_tuned_model_checkpoint"], (string?)newest["fine_tuning_job_id"]));
        Assert.Equal("""{"step":2,"train_loss":1.5,"train_mean_token_accuracy":0.5,"valid_loss":1.75,"valid_mean_token_accuracy":0.375,"full_valid_loss":1.75,"full_valid_mean_token_accuracy":0.375}""", newest["metrics"]!.ToJsonString());
        Assert.Equal("""{"step":1,"train_loss":2.5,"train_mean_token_accuracy":0.25}""", Assert.Single(second["data"]!.AsArray())!["metrics"]!.ToJsonString()); // No null: it breaks the .NET client.
        Assert.Equal(((string?)newest["id"], false), ((string?)page["first_id"], (bool)page["has_more"]!));
    }

    [Fact]
    public async Task A_job_starts_from_what_an_earlier_one_has_made()
    {
        var (earlier, model) = await EndedJob.Put(api);

        var job = await Create($$"""{"model": "{{model}}:ckpt-step-1", "training_file": "{{await Upload(Chat)}}" }""");

        Assert.Equal($"{model}:ckpt-step-1", (string?)job["model"]);
        Assert.Equal($"job:{earlier}@1", (string?)(await api.Get($"/jobs/job_{Hex(job)}"))["spec"]!["base_model"]);
        Assert.Contains((string)job["id"]!, (string)(await Api.Read(await api.Http.DeleteAsync($"/v1/models/{model}", Api.Cancel), HttpStatusCode.Conflict))["message"]!);
        Assert.Contains($"job_{Hex(job)}", (string)(await Api.Read(await api.Http.DeleteAsync($"/jobs/{earlier}", Api.Cancel), HttpStatusCode.Conflict))["detail"]!);
        await api.Post($"/v1/fine_tuning/jobs/{job["id"]}/cancel", "", HttpStatusCode.OK);
        await Api.Read(await api.Http.DeleteAsync($"/v1/models/{model}", Api.Cancel), HttpStatusCode.OK);
    }

    private static string Hex(JsonObject job) => ((string)job["id"]!)["ftjob-".Length..];

    private Task<JsonObject> Create(string body) => api.Post("/v1/fine_tuning/jobs", body, HttpStatusCode.OK);

    private async Task<string> Upload(string rows, string name = "rows.jsonl") => (string)(await Api.Read(await api.Http.PostAsync("/v1/files", OpenAiFilesTests.Form(name, rows), Api.Cancel), HttpStatusCode.OK))["id"]!;
}
