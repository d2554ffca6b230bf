using System.Text.Json;
using FineTuneService.Api.Idempotency;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Jobs;

public static class CreateJob
{
    /// <summary>Posts a job. The whole specification is judged at once; what was left open is decided, and echoed with reasons.</summary>
    public static async Task<Created<JobView>> Handle(HttpContext context, FineTuneDb db, ResolveJob resolve, PostJob post, CancellationToken cancel) =>
        await Post(await JsonContract.ParseAsync(context.Request.Body, cancel), context, db, resolve, post, cancel);

    internal static async Task<Created<JobView>> Post(JsonElement json, HttpContext context, FineTuneDb db, ResolveJob resolve, PostJob post, CancellationToken cancel)
    {
        var faults = new FaultList();
        if (JobSpecReader.Read(json, faults) is not { } spec)
            throw new FaultException([.. faults.All]);
        var draft = await resolve.FindModels(spec, faults, cancel);
        return await post.Store(draft, faults, resolved => resolved, client: null, Answer, cancel);

        async Task<Created<JobView>> Answer(Job job)
        {
            var (location, view) = ($"/jobs/{job.Id}", JobView.From(job));
            await IdempotentWork.KeepCreated(context, db, location, view, cancel);
            return TypedResults.Created(location, view);
        }
    }
}
