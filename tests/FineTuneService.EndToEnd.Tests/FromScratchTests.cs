using System.Net;

namespace FineTuneService.EndToEnd.Tests;

/// <summary>Models whose first weights are drawn, and what comes of them.</summary>
public sealed class FromScratchTests(Service service) : IClassFixture<Service>
{
    [Fact]
    public async Task A_folder_without_weights_is_pre_trained()
    {
        service.StartWorker();
        var listed = (await service.Get("/base-models"))["data"]!.AsArray().Single(model => model!["name"]!.GetValue<string>() == "electra-small-config")!;
        Assert.Equal((true, false), (listed["supported"]!.GetValue<bool>(), listed["has_weights"]!.GetValue<bool>()));
        object Spec(string init) => new
        {
            base_model = "electra-small-config",
            init,
            task = "replaced-token-detection",
            dataset = new { train = "texts", validation_split = 0 },
            training = new { max_steps = 2, per_device_train_batch_size = 4, max_length = 32, logging_steps = 1 },
        };
        await service.Upload("shakespeare", "train.jsonl", 20, header: 0, name: "texts");

        var refused = await service.Post("/jobs", Spec("pretrained"), HttpStatusCode.UnprocessableEntity);
        Assert.Equal("/base_model", Assert.Single(refused["faults"]!.AsArray())!["pointer"]!.GetValue<string>());
        Assert.Contains("init", refused["faults"]![0]!["remedy"]!.GetValue<string>(), StringComparison.Ordinal);

        var id = await service.PostJob(Spec("config"));
        await service.WaitForStatus(id, "succeeded");
        Assert.Equal(9.01, (await service.Metrics(id)).First(row => row.Name == "mlm_loss").Value, 0.1); // ln 8,192: it knows nothing.
        Assert.Contains((await service.Get($"/jobs/{id}/checkpoints/final/files"))["data"]!.AsArray(), file => file!["path"]!.GetValue<string>() == "model.safetensors");
    }

    [Fact]
    public async Task A_language_model_is_drawn_then_adapted_and_its_adapter_answers()
    {
        service.StartWorker();
        var drawn = await service.PostJob(new
        {
            base_model = "tiny-llama-en",
            init = "config",
            task = "causal-lm",
            dataset = new { train = await service.Upload("shakespeare", "train.jsonl", 20, header: 0), validation_split = 0 },
            training = new { max_steps = 2, per_device_train_batch_size = 2, max_length = 64 },
        });
        await service.WaitForStatus(drawn, "succeeded");
        var adapted = await service.PostJob(new
        {
            base_model = $"job:{drawn}",
            task = "sft",
            dataset = new { train = await service.Upload("chat", "train.jsonl", 12, header: 0), validation_split = 0 },
            method = new { type = "lora", r = 4, target_modules = "all-linear" },
            training = new { max_steps = 2, per_device_train_batch_size = 2, max_length = 128, learning_rate = 1e-2 },
        });
        await service.WaitForStatus(adapted, "succeeded");

        var answer = await service.Post($"/jobs/{adapted}/generate", new { messages = new[] { new { role = "user", content = "Hello" } }, generation = new { max_new_tokens = 8, do_sample = false } }, HttpStatusCode.OK);

        var text = Assert.Single(answer["texts"]!.AsArray())!;
        Assert.InRange(text["completion_tokens"]!.GetValue<int>(), 1, 8);
        Assert.True(text["prompt_tokens"]!.GetValue<int>() > 5);
    }
}
