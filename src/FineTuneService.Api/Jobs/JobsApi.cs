using FineTuneService.Api.Access;
using FineTuneService.Api.Paging;
using FineTuneService.Api.Problems;

namespace FineTuneService.Api.Jobs;

public static class JobsApi
{
    public static IServiceCollection AddJobs(this IServiceCollection services) =>
        services.AddSingleton<EventSignals>().AddHostedService(provider => provider.GetRequiredService<EventSignals>()).AddScoped<ResolveJob>().AddScoped<PostJob>();

    public static void MapJobs(this IEndpointRouteBuilder routes)
    {
        var jobs = routes.MapGroup("/jobs").WithTags("Jobs").RequireScopes("jobs");
        jobs.MapPost("/", CreateJob.Handle).Accepts<Contracts.JobSpec>("application/json").Refuses(StatusCodes.Status415UnsupportedMediaType, StatusCodes.Status422UnprocessableEntity, StatusCodes.Status503ServiceUnavailable);
        jobs.MapPost("/estimate", EstimateJob.Handle).RequireScope("jobs:read").Accepts<Contracts.JobSpec>("application/json").Refuses(StatusCodes.Status415UnsupportedMediaType, StatusCodes.Status422UnprocessableEntity, StatusCodes.Status503ServiceUnavailable);
        jobs.MapGet("/", ReadJobs.List).Refuses(StatusCodes.Status422UnprocessableEntity);
        jobs.MapGet("/{id}", ReadJobs.Get).Refuses(StatusCodes.Status404NotFound);
        jobs.MapPatch("/{id}", EditJob.Handle).Accepts<JobChange>("application/json").Refuses(StatusCodes.Status404NotFound, StatusCodes.Status412PreconditionFailed, StatusCodes.Status422UnprocessableEntity);
        jobs.MapDelete("/{id}", DeleteJob.Handle).Refuses(StatusCodes.Status404NotFound, StatusCodes.Status409Conflict, StatusCodes.Status412PreconditionFailed);
        foreach (var (verb, handle) in new (string, Delegate)[] { ("cancel", MoveJob.Cancel), ("pause", MoveJob.Pause), ("resume", MoveJob.Resume), ("retry", MoveJob.Retry), ("start", MoveJob.Start) })
            jobs.MapPost($"/{{id}}/{verb}", handle).Refuses(StatusCodes.Status404NotFound, StatusCodes.Status409Conflict, StatusCodes.Status412PreconditionFailed);
        jobs.MapPost("/{id}/clone", CloneJob.Handle).Accepts<Contracts.JobSpec>("application/json").Refuses(StatusCodes.Status404NotFound, StatusCodes.Status415UnsupportedMediaType, StatusCodes.Status422UnprocessableEntity, StatusCodes.Status503ServiceUnavailable);
        jobs.MapPost("/{id}/retry-with-fix", RetryWithFix.Handle).Accepts<FixRequest>("application/json").Refuses(StatusCodes.Status404NotFound, StatusCodes.Status415UnsupportedMediaType, StatusCodes.Status422UnprocessableEntity, StatusCodes.Status503ServiceUnavailable);
        jobs.MapGet("/{id}/findings", ReadFindings.Handle).Refuses(StatusCodes.Status404NotFound);
        jobs.MapGet("/{id}/metrics", ReadMetrics.Handle).Refuses(StatusCodes.Status404NotFound, StatusCodes.Status422UnprocessableEntity);
        jobs.MapGet("/{id}/samples", ReadSamples.Handle).Refuses(StatusCodes.Status404NotFound);
        jobs.MapGet("/{id}/events", ReadEvents.Handle)
            .Produces<Page<EventView, long?>>(StatusCodes.Status200OK, "application/json", EventStream.MediaType)
            .Produces(StatusCodes.Status204NoContent)
            .Refuses(StatusCodes.Status404NotFound, StatusCodes.Status422UnprocessableEntity);
    }
}
