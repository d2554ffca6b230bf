using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Jobs;

public static class CloneJob
{
    /// <summary>Posts a job's specification again, changed by the body: a JSON Merge Patch (RFC 7396), where null takes a field away. An empty object changes nothing.</summary>
    /// <remarks>For example <c>{"training": {"learning_rate": 1e-5}}</c>. The new job is judged as by <c>POST /jobs</c>, and has nothing to do with the old one.</remarks>
    /// <param name="id">The job's id.</param>
    public static async Task<Created<JobView>> Handle(string id, HttpContext context, FineTuneDb db, ResolveJob resolve, PostJob post, CancellationToken cancel)
    {
        var job = await db.FindJob(id, cancel);
        var patch = await JsonContract.ParseAsync(context.Request.Body, cancel);
        if (patch.ValueKind != JsonValueKind.Object)
            throw new FaultException("", patch.ValueKind.ToString(), "The change is not a JSON object.", "Give {} to change nothing.");
        var spec = Merge(SpecOf(job), JsonNode.Parse(patch.GetRawText()));
        return await CreateJob.Post(JsonSerializer.SerializeToElement(spec), context, db, resolve, post, cancel);
    }

    internal static JsonNode? SpecOf(Job job) => JsonNode.Parse(job.Spec);

    /// <summary>RFC 7396, section 2.</summary>
    internal static JsonNode? Merge(JsonNode? target, JsonNode? patch)
    {
        if (patch is not JsonObject members)
            return patch?.DeepClone();
        var merged = target as JsonObject ?? [];
        foreach (var (name, value) in members)
            if (value is null)
                merged.Remove(name);
            else
            {
                var old = merged[name];
                merged.Remove(name);
                merged[name] = Merge(old, value);
            }
        return merged;
    }
}
