using System.Net;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneService.Api.Tests;

[Collection("datasets of the samples, by their names")]
public sealed class SweepsTests(Api api)
{
    private const string Rates = """ "/training/learning_rate": {"values": [1e-4, 1e-3]} """;

    [Fact]
    public async Task The_example_of_the_document_runs()
    {
        var document = await api.Get("/swagger/v1/swagger.json");
        var example = document["paths"]!["/sweeps"]!["post"]!["requestBody"]!["content"]!["application/json"]!["example"]!;
        foreach (var split in new[] { "train", "dev" })
            await api.Upload($"{split}.tsv", File.ReadAllText(Path.Combine(Api.Output, "samples", $"{split}.tsv")), $"sst2/{split}.tsv");

        var sweep = await api.Post("/sweeps", example.ToJsonString(), HttpStatusCode.Created);

        Assert.Equal(("running", "eval_accuracy", "maximize"), ((string)sweep["status"]!, (string)sweep["metric"]!, (string)sweep["direction"]!));
        Assert.Equal("""{"waiting":7,"queued":2}""", sweep["counts"]!.ToJsonString());
        Assert.All(sweep["trials"]!.AsArray(), trial => Assert.InRange((double)trial!["parameters"]!["/training/learning_rate"]!, 1e-5, 1e-3));
        Assert.All(sweep["trials"]!.AsArray(), trial => Assert.Equal(1, (double)trial!["parameters"]!["/training/num_train_epochs"]!));
        await Cancel(sweep);
    }

    [Fact]
    public async Task A_grid_becomes_ordinary_jobs()
    {
        using var response = await api.Http.PostAsync("/sweeps", Json($$"""
            {"name": "rates", "spec": {{await Spec()}}, "parameters": { {{Rates}}, "/method/r": {"values": [2, 4]}, "/method/type": {"values": ["lora"]} }, "max_concurrent_jobs": 3}
            """), Api.Cancel);
        var sweep = await Api.Read(response, HttpStatusCode.Created);
        Assert.Equal($"/sweeps/{sweep["id"]}", response.Headers.Location!.ToString());

        var jobs = (await api.Get($"/jobs?sweep={sweep["id"]}"))["data"]!.AsArray();
        Assert.Equal([3, 2, 1], jobs.Select(job => sweep["trials"]!.AsArray().Index().Single(trial => (string?)trial.Item!["job"] == (string)job!["id"]!).Index + 1));
        Assert.All(jobs, job => Assert.Equal(((string)sweep["id"]!, "rates", "queued"), ((string)job!["sweep"]!, (string)job["name"]!, (string)job["status"]!)));
        Assert.Equal([(1e-4, 4), (1e-3, 2), (1e-4, 2)], jobs.Select(job => ((double)job!["spec"]!["training"]!["learning_rate"]!, (int)job["spec"]!["method"]!["r"]!)));
        Assert.Equal("""{"/method/r":2,"/method/type":"lora","/training/learning_rate":0.0001}""", Sorted(sweep["trials"]![0]!["parameters"]!));
        Assert.Equal(4, (await api.Get($"/sweeps/{sweep["id"]}"))["trials"]!.AsArray().Count);
        Assert.Equal(("eval_loss", "minimize"), ((string)sweep["metric"]!, (string)sweep["direction"]!));

        // A job that is cancelled by itself makes room for the next.
        await api.Post($"/jobs/{jobs[0]!["id"]}/cancel", "", HttpStatusCode.OK);
        Assert.Equal("""{"queued":3,"cancelled":1}""", (await api.Get($"/sweeps/{sweep["id"]}"))["counts"]!.ToJsonString());
        await Cancel(sweep);
    }

    [Fact]
    public async Task The_best_job_is_named_with_its_parameters()
    {
        var sweep = await Post($$"""{ {{Rates}} }""", """ "metric": "eval_accuracy" """);
        Assert.Null(sweep["best"]);
        var jobs = sweep["trials"]!.AsArray().Select(trial => (string)trial!["job"]!).ToList();
        foreach (var (job, metric) in jobs.Zip([0.5, 0.75]))
            await Succeed(job, metric);

        var ended = await api.Get($"/sweeps/{sweep["id"]}");

        Assert.Equal("succeeded", (string)ended["status"]!);
        Assert.Equal((jobs[1], 0.75, 20, 1e-3), ((string)ended["best"]!["job"]!, (double)ended["best"]!["metric"]!, (int)ended["best"]!["step"]!, (double)ended["best"]!["parameters"]!["/training/learning_rate"]!));
        var listed = (await api.Get("/sweeps?limit=100"))["data"]!.AsArray().Single(one => (string)one!["id"]! == (string)sweep["id"]!)!;
        Assert.Null(listed["trials"]);
        Assert.Equal(jobs[1], (string)listed["best"]!["job"]!);
        Assert.Equal("eval_accuracy", (string)(await api.Get($"/jobs/{jobs[0]}"))["spec"]!["training"]!["metric_for_best_model"]!);
        Assert.Contains("succeeded", (string)(await api.Post($"/sweeps/{sweep["id"]}/cancel", "", HttpStatusCode.Conflict))["detail"]!);
    }

    [Fact]
    public async Task The_same_seed_draws_the_same_points_and_the_first_ones_of_a_longer_search()
    {
        const string Space = """{"/training/learning_rate": {"min": 1e-5, "max": 1e-2, "distribution": "log_uniform"}, "/training/weight_decay": {"min": 0, "max": 0.1}, "/training/max_length": {"min": 8, "max": 40, "distribution": "int_uniform"}, "/training/lr_scheduler_type": {"values": ["linear", "cosine"]}}""";
        var ten = await Parameters("""{"type": "random", "trials": 10, "seed": 7}""");
        var twelve = await Parameters("""{"type": "random", "trials": 12, "seed": 7}""");

        Assert.Equal(ten, twelve[..10]);
        Assert.NotEqual(ten, await Parameters("""{"type": "random", "trials": 10, "seed": 8}"""));
        // SplitMix64's first numbers of seed 7, by its reference (Vigna, splitmix64.c): 0x63cbe1e459320dd7, 0x044c3cd7f43c661c, 0xe6984080bab12a02, 0x953aeb70673e29cb.
        var first = JsonNode.Parse(ten[0])!;
        Assert.Equal(Math.Pow(10, -5 + (3 * (0x63cbe1e459320dd7 / Math.Pow(2, 64)))), (double)first["/training/learning_rate"]!, 1e-12);
        Assert.Equal("linear", (string)first["/training/lr_scheduler_type"]!);
        Assert.Equal(8 + (int)(33 * (0xe6984080bab12a02 / Math.Pow(2, 64))), (int)first["/training/max_length"]!);
        Assert.Equal(0.1 * (0x953aeb70673e29cb / Math.Pow(2, 64)), (double)first["/training/weight_decay"]!, 1e-12);
        Assert.All(twelve, point => Assert.InRange((int)JsonNode.Parse(point)!["/training/max_length"]!, 8, 40));

        async Task<List<string>> Parameters(string strategy)
        {
            var sweep = await Post(Space, $""" "strategy": {strategy} """);
            await Cancel(sweep);
            return [.. sweep["trials"]!.AsArray().Select(trial => Sorted(trial!["parameters"]!))];
        }
    }

    [Fact]
    public async Task A_random_search_tries_no_point_twice()
    {
        var sweep = await Post("""{"/training/seed": {"min": 1, "max": 12, "distribution": "int_uniform"}}""", """ "strategy": {"type": "random", "trials": 12} """);

        Assert.Equal(Enumerable.Range(1, 12), sweep["trials"]!.AsArray().Select(trial => (int)trial!["parameters"]!["/training/seed"]!).Order());
        await Cancel(sweep);
    }

    [Theory]
    [InlineData("{}", "", "/parameters", "Nothing varies")]
    [InlineData("""{"training": {"values": [1]}}""", "", "/parameters/training", "no field")]
    [InlineData("""{"/training/lerning_rate": {"values": [1]}}""", "", "/parameters/~1training~1lerning_rate/values/0", "learning_rate")]
    [InlineData("""{"/training/seed/x": {"values": [1]}}""", "", "/parameters/~1training~1seed~1x/values/0", "no place", "\"training\": {\"seed\": 1}")]
    [InlineData("""{"/training/seed": {"values": []}}""", "", "/parameters/~1training~1seed/values", "0 entries")]
    [InlineData("""{"/training/seed": {"values": [1, 1.0]}}""", "", "/parameters/~1training~1seed/values/1", "twice")]
    [InlineData("""{"/training/seed": {}}""", "", "/parameters/~1training~1seed", "Neither")]
    [InlineData("""{"/training/seed": {"values": [1], "min": 1}}""", "", "/parameters/~1training~1seed", "both")]
    [InlineData("""{"/training/seed": {"min": 1, "max": 9}}""", "", "/parameters/~1training~1seed", "grid")]
    [InlineData("""{"/training/seed": {"min": 1}}""", "random", "/parameters/~1training~1seed/max", "both its ends")]
    [InlineData("""{"/training/weight_decay": {"min": 0.1, "max": 0.1}}""", "random", "/parameters/~1training~1weight_decay/max", "not above min")]
    [InlineData("""{"/training/learning_rate": {"min": 0, "max": 0.1, "distribution": "log_uniform"}}""", "random", "/parameters/~1training~1learning_rate/min", "magnitude")]
    [InlineData("""{"/training/seed": {"min": 0.5, "max": 9, "distribution": "int_uniform"}}""", "random", "/parameters/~1training~1seed/min", "whole")]
    [InlineData("""{"/training/seed": {"min": 1, "max": 9}}""", "random", "/parameters/~1training~1seed", "whole number")]
    [InlineData("""{"/training/seed": {"values": [1, 2]}}""", "random", "/strategy/trials", "only 2 points")]
    [InlineData("""{"/training/weight_decay": {"min": 0.1, "max": 0.10000000000000002}}""", "random", "/strategy/trials", "narrow")]
    [InlineData("""{"/training/metric_for_best_model": {"values": ["loss"]}}""", "", "/parameters/~1training~1metric_for_best_model", "compared")]
    [InlineData("""{"/training/max_steps": {"values": [1, 2]}}""", "halving", "/parameters/~1training~1max_steps", "strategy")]
    [InlineData("""{"/base_model": {"values": ["tiny-bert-en", "../tiny-bert-en"]}}""", "", "/parameters/~1base_model/values/1", "no such base model")]
    public async Task A_space_that_cannot_be_tried_is_refused_where_it_says_so(string parameters, string strategy, string pointer, string told, string extra = "")
    {
        var chosen = strategy switch { "random" => """{"type": "random", "trials": 9}""", "halving" => """{"type": "successive_halving", "trials": 9, "min_resource": 5}""", _ => "\"grid\"" };
        var problem = await api.Post("/sweeps", $$"""{"spec": {{await Spec(extra)}}, "parameters": {{parameters}}, "strategy": {{chosen}} }""", HttpStatusCode.UnprocessableEntity);

        Assert.Equal([pointer], Api.Pointers(problem));
        Assert.Contains(told, problem["faults"]![0]!.ToJsonString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"nearest\"", "/strategy", "random, successive_halving")]
    [InlineData("""{"type": "random"}""", "/strategy/trials", "required")]
    [InlineData("""{"type": "random", "trials": 257}""", "/strategy/trials", "256")]
    [InlineData("""{"type": "successive_halving", "trials": 2, "min_resource": 5}""", "/strategy/trials", "reduction factor")]
    [InlineData("""{"type": "successive_halving", "trials": 9, "min_resource": 2.5}""", "/strategy/min_resource", "whole number")]
    [InlineData("""{"type": "successive_halving", "trials": 243, "min_resource": 100, "resource": "num_train_epochs"}""", "/strategy/min_resource", "24300")]
    public async Task A_strategy_that_cannot_be_followed_is_refused(string strategy, string pointer, string told)
    {
        var problem = await api.Post("/sweeps", $$"""{"spec": {{await Spec()}}, "parameters": {"/training/weight_decay": {"min": 0, "max": 0.1} }, "strategy": {{strategy}} }""", HttpStatusCode.UnprocessableEntity);

        Assert.Equal([pointer], Api.Pointers(problem));
        Assert.Contains(told, problem["faults"]![0]!.ToJsonString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"training\": {\"eval_strategy\": \"no\"}", "", "/spec/training/eval_strategy")]
    [InlineData("\"training\": {\"load_best_model_at_end\": false}", "", "/spec/training/load_best_model_at_end")]
    [InlineData("\"training\": {\"max_steps\": 9, \"eval_strategy\": \"steps\", \"eval_steps\": 10, \"save_strategy\": \"steps\"}", "", "/spec/training/eval_steps")]
    [InlineData("\"training\": {\"metric_for_best_model\": \"loss\"}", "\"metric\": \"accuracy\"", "/metric")]
    [InlineData("\"training\": {\"greater_is_better\": true}", "\"direction\": \"minimize\"", "/direction")]
    public async Task Trials_that_cannot_be_compared_are_refused(string training, string more, string pointer)
    {
        var problem = await api.Post("/sweeps", Body(await Spec(training), """{"/training/seed": {"values": [1, 2]}}""", more), HttpStatusCode.UnprocessableEntity);

        Assert.Equal([pointer], Api.Pointers(problem));
    }

    [Fact]
    public async Task Every_fault_of_every_trial_is_told_once_and_nothing_is_stored()
    {
        var problem = await api.Post("/sweeps", """
            {"name": "all-faults-of-a-sweep",
             "spec": {"base_model": "nowhere", "task": "text-classification", "dataset": {"train": "ds_0"}, "epochs": 3, "training": {"eval_strategy": "steps", "save_strategy": "steps", "save_steps": 60}},
             "parameters": {"/training/learning_rate": {"values": [1e-4, -1, 7]}, "/training/eval_steps": {"values": [20, 50]}}}
            """, HttpStatusCode.UnprocessableEntity);

        Assert.Equal(
            ["/parameters/~1training~1learning_rate/values/1", "/parameters/~1training~1learning_rate/values/2", "/spec/base_model", "/spec/dataset/train", "/spec/epochs", "/spec/training/save_steps"],
            Api.Pointers(problem).Order(StringComparer.Ordinal));
        Assert.Contains("/training/eval_steps = 50", problem["faults"]!.AsArray().Single(fault => (string)fault!["pointer"]! == "/spec/training/save_steps")!.ToJsonString(), StringComparison.Ordinal);
        Assert.DoesNotContain((await api.Get("/sweeps?limit=100"))["data"]!.AsArray(), sweep => (string?)sweep!["name"] == "all-faults-of-a-sweep");
    }

    [Fact]
    public async Task A_grid_has_its_limit()
    {
        var values = string.Join(',', Enumerable.Range(0, 17));
        var problem = await api.Post("/sweeps", Body(await Spec(), $$"""{"/training/seed": {"values": [{{values}}]}, "/training/data_seed": {"values": [{{values}}]} }""", ""), HttpStatusCode.UnprocessableEntity);

        Assert.Contains("289 points", (string)Assert.Single(problem["faults"]!.AsArray())!["message"]!, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_sweep_is_cancelled_and_deleted_and_its_jobs_stay()
    {
        var sweep = await Post($$"""{ {{Rates}} }""", "\"max_concurrent_jobs\": 1");
        var job = (string)sweep["trials"]![0]!["job"]!;
        await api.InDatabase(db => db.Jobs.Where(row => row.Id == job).ExecuteUpdateAsync(row => row.SetProperty(one => one.Status, JobStatus.Running).SetProperty(one => one.Attempt, 1), Api.Cancel));
        var path = $"/sweeps/{sweep["id"]}";
        await Api.Read(await api.Http.DeleteAsync(path, Api.Cancel), HttpStatusCode.Conflict);

        var asked = await api.Post($"{path}/cancel", "", HttpStatusCode.Accepted);

        Assert.Equal(("running", true), ((string)asked["status"]!, asked["cancel_requested_at"] is not null));
        Assert.NotNull((await api.Get($"/jobs/{job}"))["cancel_requested_at"]);
        Assert.True(await api.Services.GetRequiredService<JobStates>().Change(job, 1, JobStatus.Cancelled, "Cancelled on request.", null, Api.Cancel));
        Assert.Equal(("cancelled", """{"waiting":1,"cancelled":1}"""), ((string)(await api.Get(path))["status"]!, (await api.Get(path))["counts"]!.ToJsonString()));
        await api.Post($"{path}/cancel", "", HttpStatusCode.Conflict);
        await Api.Read(await api.Http.DeleteAsync(path, Api.Cancel), HttpStatusCode.NoContent);
        await api.Get(path, HttpStatusCode.NotFound);
        Assert.Null((await api.Get($"/jobs/{job}"))["sweep"]);
        await api.Post($"{path}/cancel", "", HttpStatusCode.NotFound);
        await Api.Read(await api.Http.DeleteAsync(path, Api.Cancel), HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task A_dataset_that_a_waiting_trial_names_is_kept()
    {
        var (first, second) = (await Dataset(), await Dataset());
        var sweep = await api.Post("/sweeps", Body("""{"base_model": "tiny-bert-en", "task": "text-classification"}""", $$"""{"/dataset/train": {"values": ["{{first}}", "{{second}}"]} }""", "\"max_concurrent_jobs\": 1"), HttpStatusCode.Created);

        Assert.Contains((string)sweep["id"]!, (string)(await Api.Read(await api.Http.DeleteAsync($"/datasets/{second}", Api.Cancel), HttpStatusCode.Conflict))["detail"]!, StringComparison.Ordinal);

        await Cancel(sweep);
        await Api.Read(await api.Http.DeleteAsync($"/datasets/{second}", Api.Cancel), HttpStatusCode.NoContent);
    }

    [Fact]
    public async Task Sweeps_are_listed_page_by_page()
    {
        var made = new List<string>();
        for (var i = 0; i < 3; i++)
            made.Insert(0, (string)(await Cancel(await Post($$"""{ {{Rates}} }""", "")))["id"]!);

        var first = await api.Get("/sweeps?limit=2");
        var found = first["data"]!.AsArray().Concat((await api.Get($"/sweeps?limit=100&after={first["next_after"]}"))["data"]!.AsArray()).Select(sweep => (string)sweep!["id"]!).ToList();

        Assert.Equal(found.Distinct(), found);
        Assert.Equal(made, found.Where(made.Contains));
    }

    private async Task<string> Dataset() => (string)(await api.Upload("rows.csv", "text,label\ngood,1\nbad,0\n"))["id"]!;

    private async Task<string> Spec(string extra = "") =>
        $$"""{"base_model": "tiny-bert-en", "task": "text-classification", "dataset": {"train": "{{await Dataset()}}"}{{(extra.Length == 0 ? "" : ", " + extra)}}}""";

    private static string Body(string spec, string parameters, string more) => $$"""{"spec": {{spec}}, "parameters": {{parameters}}{{(more.Length == 0 ? "" : ", " + more)}}}""";

    private async Task<JsonObject> Post(string parameters, string more) => await api.Post("/sweeps", Body(await Spec(), parameters, more), HttpStatusCode.Created);

    private Task<JsonObject> Cancel(JsonObject sweep) => api.Post($"/sweeps/{sweep["id"]}/cancel", "", HttpStatusCode.OK);

    private async Task Succeed(string job, double metric)
    {
        await api.InDatabase(db => db.Jobs.Where(row => row.Id == job).ExecuteUpdateAsync(
            row => row.SetProperty(one => one.Status, JobStatus.Running).SetProperty(one => one.Attempt, 1).SetProperty(one => one.BestMetric, metric).SetProperty(one => one.BestStep, 20), Api.Cancel));
        Assert.True(await api.Services.GetRequiredService<JobStates>().Change(job, 1, JobStatus.Succeeded, null, null, Api.Cancel));
    }

    private static string Sorted(JsonNode point) => new JsonObject(point.AsObject().OrderBy(member => member.Key, StringComparer.Ordinal).Select(member => KeyValuePair.Create(member.Key, member.Value?.DeepClone()))).ToJsonString();

    private static StringContent Json(string body) => new(body, System.Text.Encoding.UTF8, "application/json");
}
