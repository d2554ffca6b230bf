using System.ClientModel;
using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using OpenAI;
using OpenAI.Chat;
using OpenAI.Files;
using OpenAI.FineTuning;
using OpenAI.Models;

namespace FineTuneService.EndToEnd.Tests;

/// <summary>OpenAI's own clients, unchanged but for the address: what they cannot do here, nobody's scripts can.</summary>
public sealed class OpenAiClientsTests(Service service) : IClassFixture<Service>
{
    private static readonly string Walk = Path.Combine(AppContext.BaseDirectory, "openai");

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private Uri Endpoint => new(service.Http.BaseAddress!, "/v1");

    [Fact]
    public async Task The_dotnet_client_fine_tunes_and_chats()
    {
        service.StartWorker();
        var (key, options) = (new ApiKeyCredential(Service.Key), new OpenAIClientOptions { Endpoint = Endpoint });
        var files = new OpenAIFileClient(key, options);
        var file = (await files.UploadFileAsync(BinaryData.FromString(Chats()), "chats.jsonl", FileUploadPurpose.FineTune)).Value;
        Assert.Equal(FilePurpose.FineTune, file.Purpose);

        var client = new FineTuningClient(key, new FineTuningClientOptions { Endpoint = Endpoint });
        var job = await client.FineTuneAsync("tiny-llama-en", file.Id, waitUntilCompleted: false, new()
        {
            TrainingMethod = FineTuningTrainingMethod.CreateSupervised(batchSize: 8, epochCount: 1, learningRate: 2),
            ValidationFile = file.Id,
            Suffix = "dotnet",
            Seed = 7,
        }, Cancel);
        await job.WaitForCompletionAsync(Cancel);

        Assert.Equal(FineTuningStatus.Succeeded, job.Status);
        Assert.Equal((7, "dotnet", file.Id, file.Id), (job.Seed, job.UserProvidedSuffix, job.TrainingFileId, job.ValidationFileId));
        var trained = Assert.IsType<HyperparametersForSupervised>(job.MethodHyperparameters);
        Assert.Equal((8, 1, 2f), (trained.BatchSize, trained.EpochCount, trained.LearningRateMultiplier));
        Assert.Contains(":dotnet:", job.Value);

        var events = await job.GetEventsAsync(new() { PageSize = 2 }, Cancel).ToListAsync(Cancel);
        Assert.True(events.Count > 4);
        Assert.Equal(events.Count, events.Select(one => one.Id).Distinct().Count());
        var checkpoint = Assert.Single(await job.GetCheckpointsAsync(new() { PageSize = 1 }, Cancel).ToListAsync(Cancel));
        Assert.Equal((2, job.JobId), (checkpoint.StepNumber, checkpoint.JobId));
        Assert.True(checkpoint.Metrics.ValidLoss > 0 && checkpoint.Metrics.TrainLoss > 0);
        Assert.Contains(await client.GetJobsAsync(new() { PageSize = 1 }, Cancel).ToListAsync(Cancel), one => one.JobId == job.JobId);
        Assert.StartsWith("step,train_loss,", (await files.DownloadFileAsync(Assert.Single(job.ResultFileIds), Cancel)).Value.ToString());
        Assert.Contains((await files.GetFilesAsync(Cancel)).Value, one => one.Purpose == FilePurpose.FineTuneResults);
        Assert.Contains((await new OpenAIModelClient(key, options).GetModelsAsync(Cancel)).Value, model => model.Id == job.Value);

        await Chats(new ChatClient(job.Value, key, options));
        await Chats(new ChatClient(checkpoint.ModelId, key, options));
        var refused = await Assert.ThrowsAsync<ClientResultException>(() => client.FineTuneAsync("tiny-llama-en", "file-0", false, new(), Cancel));
        Assert.Equal(400, refused.Status);
        Assert.Contains("training_file", refused.Message);
    }

    [Fact]
    public async Task The_npm_client_uploads_in_parts_fine_tunes_and_streams()
    {
        service.StartWorker();
        var data = Directory.CreateTempSubdirectory("finetune-openai-");
        var (chats, preferences) = (Path.Combine(data.FullName, "chats.jsonl"), Path.Combine(data.FullName, "pairs.jsonl"));
        await File.WriteAllTextAsync(chats, Chats(), Cancel);
        await File.WriteAllLinesAsync(preferences, File.ReadLines(Path.Combine(Service.Samples, "preferences", "train.jsonl")).Take(8).Select(AsOpenAiWrites), Cancel);
        if (!Directory.Exists(Path.Combine(Walk, "node_modules")))
            await Run("npm", "ci", "--ignore-scripts");

        var seen = JsonNode.Parse(await Run("node", "walk.mjs", Endpoint.ToString(), chats, preferences))!;

        data.Delete(recursive: true);
        var (job, whole) = (seen["job"]!, seen["whole"]!);
        Assert.Equal(("processed", "succeeded", "succeeded"), ((string?)seen["file"]!["status"], (string?)job["status"], (string?)seen["preferred"]!["status"]));
        Assert.Equal("""{"n_epochs":2,"batch_size":8,"learning_rate_multiplier":1}""", job["hyperparameters"]!.ToJsonString());
        Assert.True((int)job["trained_tokens"]! > 0);
        Assert.Equal([4, 2], seen["checkpoints"]!.AsArray().Select(one => (int)one!["step_number"]!));
        Assert.Contains(seen["events"]!.AsArray(), one => (string?)one!["type"] == "metrics" && one["data"]!["train_loss"] is not null);
        Assert.Contains(seen["events"]!.AsArray(), one => (string?)one!["type"] == "metrics" && one["data"]!["valid_loss"] is not null);
        Assert.Equal([(string?)job["id"]], seen["listed"]!.AsArray().Select(id => (string?)id));
        Assert.StartsWith("step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n1,", (string?)seen["results"]);
        Assert.True((int)seen["files"]! >= 2);
        Assert.Contains("tiny-llama-en", seen["models"]!.AsArray().Select(model => (string?)model));

        Assert.NotEmpty((string)whole["choices"]![0]!["message"]!["content"]!);
        Assert.Equal((string?)whole["choices"]![0]!["message"]!["content"], (string?)seen["streamed"]);
        Assert.Equal(whole["usage"]!.ToJsonString(), seen["usage"]!.ToJsonString());
        Assert.NotEmpty((string)seen["continued"]!);

        Assert.Equal(("ConflictError", 409), ((string?)seen["conflict"]!["name"], (int)seen["conflict"]!["status"]!));
        Assert.Equal(1, (int)seen["requests"]!); // It would ask twice more.
        Assert.NotEmpty((string)seen["conflict"]!["requestID"]!);
        Assert.Equal(("NotFoundError", "model_not_found"), ((string?)seen["unknown"]!["name"], (string?)seen["unknown"]!["code"]));
        Assert.Equal(("BadRequestError", "training_file"), ((string?)seen["refused"]!["name"], (string?)seen["refused"]!["param"]));
        Assert.Equal("AuthenticationError", (string?)seen["shut"]!["name"]);
        Assert.True((bool)seen["deleted"]!["deleted"]!);
    }

    private static async Task Chats(ChatClient client)
    {
        var options = new ChatCompletionOptions { MaxOutputTokenCount = 8, Temperature = 0 };
        ChatMessage[] messages = [new UserChatMessage("What is an epoch?")];
        var whole = (await client.CompleteChatAsync(messages, options, Cancel)).Value;
        var streamed = new StringBuilder();
        await foreach (var update in client.CompleteChatStreamingAsync(messages, options, Cancel))
            foreach (var part in update.ContentUpdate)
                streamed.Append(part.Text);
        Assert.NotEmpty(whole.Content[0].Text);
        Assert.Equal(whole.Content[0].Text, streamed.ToString());
        Assert.InRange(whole.Usage.OutputTokenCount, 1, 8);
    }

    /// <summary>Sixteen conversations.</summary>
    private static string Chats() => string.Join('\n', File.ReadLines(Path.Combine(Service.Samples, "chat", "train.jsonl")).Take(16)) + "\n";

    /// <summary>A line of ours in the form that OpenAI documents.</summary>
    private static string AsOpenAiWrites(string line)
    {
        var row = JsonNode.Parse(line)!;
        return new JsonObject
        {
            ["input"] = new JsonObject { ["messages"] = row["prompt"]!.DeepClone() },
            ["preferred_output"] = row["chosen"]!.DeepClone(),
            ["non_preferred_output"] = row["rejected"]!.DeepClone(),
        }.ToJsonString();
    }

    private static async Task<string> Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { WorkingDirectory = Walk, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["OPENAI_API_KEY"] = Service.Key;
        using var process = Process.Start(start)!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(Cancel), process.StandardError.ReadToEndAsync(Cancel));
        await process.WaitForExitAsync(Cancel);
        Assert.True(process.ExitCode == 0, await errors);
        return await output;
    }
}
