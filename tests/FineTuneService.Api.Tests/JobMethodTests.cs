using System.Net;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Tests;

/// <summary>What a job's method and init ask of its base model is told when the job is posted, from the headers of the weights.</summary>
public sealed class JobMethodTests(Api api)
{
    [Theory]
    [InlineData("""{"type": "lora", "r": 129}""", "/method/r", "at most 128")]
    [InlineData("""{"type": "qlora", "r": 1000, "target_modules": ["output.dense"]}""", "/method/r", "at most 128")]
    [InlineData("""{"type": "lora", "rank_pattern": {"query": 200}}""", "/method/rank_pattern", "at most 128")]
    [InlineData("""{"type": "lora", "target_modules": ["q_proj", "v_proj"]}""", "/method/target_modules", "attention.self.query")]
    [InlineData("""{"type": "lora", "target_modules": ".*decoder.*"}""", "/method/target_modules", "attention.output.dense")]
    [InlineData("""{"type": "lora", "target_modules": ["query"], "exclude_modules": ".*attention.*"}""", "/method/target_modules", "intermediate.dense")]
    public async Task What_does_not_fit_the_base_model_is_refused_with_what_it_has(string method, string pointer, string remedy)
    {
        var problem = await Post(method, HttpStatusCode.UnprocessableEntity);

        Assert.Equal([pointer], Api.Pointers(problem).Distinct());
        Assert.Contains(remedy, problem["faults"]!.ToJsonString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"type": "lora", "r": 128}""")]
    [InlineData("""{"type": "lora", "r": 128, "target_modules": "all-linear"}""")]
    [InlineData("""{"type": "qlora", "target_modules": ".*\\.(query|dense)"}""")]
    [InlineData("""{"type": "lora", "target_modules": ["word_embeddings", "bert.encoder.layer.0.attention.self.key"]}""")]
    public async Task What_fits_is_accepted(string method) => await Post(method, HttpStatusCode.Created);

    [Fact]
    public async Task A_model_without_weights_is_for_jobs_that_draw_them()
    {
        File.Delete(Path.Combine(api.CopyModel("shape-only"), "model.safetensors"));
        var listed = (await api.Get("/base-models"))["data"]!.AsArray();
        Assert.Equal((true, false), Kind("shape-only"));
        Assert.Equal((true, true), Kind("tiny-bert-en"));

        Assert.Equal(["/base_model"], Api.Pointers(await Post("\"full\"", HttpStatusCode.UnprocessableEntity, "shape-only")));
        Assert.Equal("config", (string)(await Post("\"full\"", HttpStatusCode.Created, "shape-only", ", \"init\": \"config\""))["spec"]!["init"]!);
        Assert.Equal(["/init"], Api.Pointers(await Post("\"lora\"", HttpStatusCode.UnprocessableEntity, "shape-only", ", \"init\": \"config\"")));

        (bool, bool) Kind(string name) => listed.Single(model => (string)model!["name"]! == name) is { } found ? ((bool)found["supported"]!, (bool)found["has_weights"]!) : default;
    }

    [Fact]
    public async Task Weights_that_are_not_read_need_not_be_sound()
    {
        var weights = Path.Combine(api.CopyModel("only-pickles"), "model.safetensors");
        File.Move(weights, Path.ChangeExtension(weights, ".bin"));

        await Post("\"full\"", HttpStatusCode.UnprocessableEntity, "only-pickles");
        await Post("\"full\"", HttpStatusCode.Created, "only-pickles", ", \"init\": \"config\"");
    }

    [Fact]
    public async Task An_adapter_is_named_by_its_job_or_by_its_folder()
    {
        var id = await PutAdapter("tiny-bert-en");
        var folder = Path.Combine(api.Models, "an-adapter");
        Directory.CreateDirectory(folder);
        File.Copy(Path.Combine(api.Storage.Run(id).Checkpoint(7), "adapter_config.json"), Path.Combine(folder, "adapter_config.json"));

        var job = await Post($$"""{"type": "lora", "adapter": "job:{{id}}"}""", HttpStatusCode.Created);
        Assert.Equal($"job:{id}@7", (string)job["spec"]!["method"]!["adapter"]!);
        Assert.Contains(job["resolutions"]!.AsArray(), chosen => (string)chosen!["pointer"]! == "/method/adapter");
        await Post("""{"type": "lora", "adapter": "an-adapter"}""", HttpStatusCode.Created);

        Assert.Equal(["/method/r", "/method/target_modules"], Api.Pointers(await Post($$"""{"type": "lora", "r": 3, "target_modules": ["key"], "adapter": "job:{{id}}@7"}""", HttpStatusCode.UnprocessableEntity)));
        api.CopyModel("another-bert");
        Assert.Equal(["/method/adapter"], Api.Pointers(await Post($$"""{"type": "lora", "adapter": "job:{{id}}"}""", HttpStatusCode.UnprocessableEntity, "another-bert")));
    }

    [Theory]
    [InlineData("nobody", "no such adapter")]
    [InlineData("../tiny-bert-en", "no such adapter")]
    [InlineData("job:somebody", "names no checkpoint")]
    [InlineData("job:job_00000000000000000000000000000000", "There is no job")]
    [InlineData("WHOLE", "whole model")]
    [InlineData("RUNNING", "running")]
    public async Task What_is_no_adapter_is_refused(string adapter, string told)
    {
        if (adapter == "WHOLE")
            adapter = $"job:{(await api.PutCheckpoint()).Id}";
        if (adapter == "RUNNING")
        {
            var id = await PutAdapter("tiny-bert-en");
            await api.InDatabase(db => db.Jobs.Where(job => job.Id == id).ExecuteUpdateAsync(job => job.SetProperty(row => row.Status, JobStatus.Running), Api.Cancel));
            adapter = $"job:{id}";
        }

        var problem = await Post($$"""{"type": "lora", "adapter": "{{adapter}}"}""", HttpStatusCode.UnprocessableEntity);

        Assert.Equal(["/method/adapter"], Api.Pointers(problem));
        Assert.Contains(told, (string)problem["faults"]![0]!["message"]!, StringComparison.Ordinal);
        Assert.DoesNotContain(api.Data, problem.ToJsonString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_adapter_as_base_model_is_merged_with_its_own_base()
    {
        var id = await PutAdapter("tiny-bert-en");

        var job = await Post("""{"type": "lora", "r": 3}""", HttpStatusCode.Created, $"job:{id}");

        Assert.Equal($"job:{id}@7", (string)job["spec"]!["base_model"]!);
        Assert.Contains("method.adapter", (string)job["resolutions"]!.AsArray().Single(chosen => (string)chosen!["pointer"]! == "/base_model")!["reason"]!, StringComparison.Ordinal);
        Assert.Equal(["/method/r"], Api.Pointers(await Post("""{"type": "lora", "r": 129}""", HttpStatusCode.UnprocessableEntity, $"job:{id}")).Distinct()); // By the base's header.
    }

    [Fact]
    public async Task An_adapter_whose_base_has_gone_is_no_base_model()
    {
        var id = await PutAdapter("gone-bert");

        var problem = await Post("\"full\"", HttpStatusCode.UnprocessableEntity, $"job:{id}");

        Assert.Equal(["/base_model"], Api.Pointers(problem));
        Assert.Contains("base model of this adapter was not found", (string)problem["faults"]![0]!["message"]!, StringComparison.Ordinal);
        Assert.DoesNotContain(api.Data, problem.ToJsonString(), StringComparison.Ordinal);
    }

    private async Task<JsonObject> Post(string method, HttpStatusCode expected, string baseModel = "tiny-bert-en", string extra = "")
    {
        var dataset = (string)(await api.Upload("rows.csv", "text,label\ngood,1\nbad,0\n"))["id"]!;
        return await api.Post("/jobs", $$"""{"base_model": "{{baseModel}}", "task": "text-classification", "dataset": {"train": "{{dataset}}"}, "method": {{method}} {{extra}}}""", expected);
    }

    /// <summary>A job that succeeded, with an adapter as its only checkpoint, as far as it is looked at before a run.</summary>
    private async Task<string> PutAdapter(string baseModel)
    {
        var (id, folder) = await api.PutCheckpoint();
        foreach (var file in Directory.EnumerateFiles(Path.Combine(Api.Output, "models", "tiny-bert-en")).Where(file => !file.EndsWith(".safetensors", StringComparison.Ordinal)))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        File.WriteAllText(Path.Combine(folder, "adapter_config.json"), $$"""{"peft_type": "LORA", "task_type": "SEQ_CLS", "base_model_name_or_path": "{{baseModel}}", "r": 8, "lora_alpha": 8, "target_modules": ["query", "value"]}""");
        File.WriteAllText(Path.Combine(folder, "adapter_model.safetensors"), "");
        File.WriteAllText(api.Storage.Run(id).Job, new JsonObject { ["base_model"] = Path.Combine(api.Models, baseModel) }.ToJsonString());
        return id;
    }
}
