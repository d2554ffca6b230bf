using System.Globalization;
using System.Text.Json;
using FineTuneService.Api.Paging;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.OpenAi;

/// <summary>Something that happened to a job.</summary>
/// <param name="Level"><c>info</c>, <c>warn</c> or <c>error</c>.</param>
/// <param name="Message">For people.</param>
/// <param name="Type"><c>message</c>, or <c>metrics</c> with data: <c>step</c>, <c>total_steps</c>, <c>train_loss</c>, <c>train_mean_token_accuracy</c>, <c>valid_loss</c>, <c>valid_mean_token_accuracy</c>.</param>
public sealed record FineTuningEvent(string Id, long CreatedAt, string Level, string Message, string Type, IReadOnlyDictionary<string, double>? Data)
{
    public string Object => "fine_tuning.job.event";
}

public static class ReadFineTuningEvents
{
    private static readonly string[] Shown = ["status", "note", "log", "evaluate", "save"];

    /// <summary>Lists what happened to a fine-tuning job, the newest first.</summary>
    /// <param name="id">The job's id.</param>
    /// <param name="after">The id of the last event of the page before.</param>
    /// <param name="limit">Events on a page, 1 to 100; 20 unless given.</param>
    public static async Task<JsonHttpResult<OpenAiList<FineTuningEvent>>> Handle(string id, FineTuneDb db, CancellationToken cancel, string? after = null, int? limit = null)
    {
        var size = Page.Limit(limit, usual: 20, most: 100);
        var job = await db.FindFineTuningJob(id, cancel);
        var before = after is null ? long.MaxValue : OpenAiIds.EventOf(after);
        var rows = await db.Events.AsNoTracking().Where(row => row.JobId == job.Id && row.Id < before && Shown.Contains(row.Type)).OrderByDescending(row => row.Id).Take(size + 1).ToListAsync(cancel);
        return OpenAiJson.Answer(OpenAiList.Of([.. rows.Select(row => From(row, job))], size));
    }

    private static FineTuningEvent From(JobEvent row, Job job)
    {
        var data = JsonSerializer.Deserialize<JsonElement>(row.Data);
        return row.Type switch
        {
            "log" => Metrics(row, job, data, "train", ("loss", "train_loss"), ("mean_token_accuracy", "train_mean_token_accuracy")),
            "evaluate" => Metrics(row, job, data, "validation", ("eval_loss", "valid_loss"), ("eval_mean_token_accuracy", "valid_mean_token_accuracy")),
            "note" => Message(row, data.GetProperty("level").GetString() == "warning" ? "warn" : "info", data.GetProperty("message").GetString()!),
            "save" => Message(row, "info", $"A checkpoint was made at step {data.GetProperty("step")}."),
            _ => Status(row, data),
        };
    }

    private static FineTuningEvent Status(JobEvent row, JsonElement data)
    {
        var status = data.GetProperty("status").Deserialize<JobStatus>(SnakeCaseJson.Options);
        var reason = data.TryGetProperty("reason", out var told) && told.ValueKind == JsonValueKind.String ? $" {told.GetString()}" : "";
        return Message(row, status == JobStatus.Failed ? "error" : "info", $"The job is {(status == JobStatus.Succeeded ? "done: it succeeded" : status.ToString().ToLowerInvariant())}.{reason}");
    }

    private static FineTuningEvent Message(JobEvent row, string level, string message) => new(OpenAiIds.Event(row.Id), row.Time.ToUnixTimeSeconds(), level, message, "message", null);

    private static FineTuningEvent Metrics(JobEvent row, Job job, JsonElement data, string split, params (string Ours, string Theirs)[] names)
    {
        var numbers = new Dictionary<string, double> { ["step"] = data.GetProperty("step").GetDouble() };
        if (job.TotalSteps is { } total)
            numbers["total_steps"] = total;
        foreach (var (ours, theirs) in names)
            if (data.GetProperty("metrics").TryGetProperty(ours, out var number) && number.ValueKind == JsonValueKind.Number)
                numbers[theirs] = number.GetDouble();
        var loss = numbers.TryGetValue(names[0].Theirs, out var value) ? value.ToString("0.####", CultureInfo.InvariantCulture) : "unknown";
        var step = job.TotalSteps is null ? $"{numbers["step"]}" : $"{numbers["step"]}/{job.TotalSteps}";
        return new(OpenAiIds.Event(row.Id), row.Time.ToUnixTimeSeconds(), "info", $"Step {step}: {split} loss {loss}", "metrics", numbers);
    }
}
