using FineTuneService.Api.Access;
using FineTuneService.Api.Jobs;

namespace FineTuneService.Api.OpenAi;

/// <summary>
/// The part of OpenAI's API that is about fine-tuning, under <c>/v1</c>, so that its clients work unchanged: objects, paging and errors are theirs, and every success is 200.
/// Behind it are the same datasets, jobs and checkpoints. Shapes: openai/openai-openapi.
/// </summary>
public static class OpenAiApi
{
    public static IServiceCollection AddOpenAi(this IServiceCollection services) => services.AddScoped<FindModel>();

    public static void MapOpenAi(this IEndpointRouteBuilder routes)
    {
        var openAi = routes.MapGroup("/v1").WithTags("OpenAI");

        var files = openAi.MapGroup("/files").RequireScopes("datasets");
        files.MapPost("/", CreateFile.Handle).WithMetadata(Form("file")).Answers<OpenAiFile>(400, 413, 415);
        files.MapGet("/", ReadFiles.List).Answers<OpenAiPage<OpenAiFile>>(400);
        files.MapGet("/{id}", ReadFiles.Get).Answers<OpenAiFile>(404);
        files.MapGet("/{id}/content", ReadFiles.Content).Produces(StatusCodes.Status200OK, contentType: "application/octet-stream").Fails(404);
        files.MapDelete("/{id}", DeleteFile.Handle).Answers<OpenAiDeleted>(404, 409);

        var uploads = openAi.MapGroup("/uploads").RequireScopes("datasets");
        uploads.MapPost("/", CreateUpload.Handle).Accepts<CreateUploadRequest>("application/json").Answers<OpenAiUpload>(400, 413);
        uploads.MapPost("/{id}/parts", AddUploadPart.Handle).WithMetadata(Form("data")).Answers<OpenAiUploadPart>(400, 404, 409, 413, 415);
        uploads.MapPost("/{id}/complete", CompleteUpload.Handle).Accepts<CompleteUploadRequest>("application/json").Answers<OpenAiUpload>(400, 404, 409);
        uploads.MapPost("/{id}/cancel", CancelUpload.Handle).Answers<OpenAiUpload>(404, 409);

        var jobs = openAi.MapGroup("/fine_tuning/jobs").RequireScopes("jobs");
        jobs.MapPost("/", CreateFineTuningJob.Handle).Accepts<CreateFineTuningJobRequest>("application/json").Answers<FineTuningJob>(400, 404, 503);
        jobs.MapGet("/", ReadFineTuningJobs.List).Answers<OpenAiList<FineTuningJob>>(400);
        jobs.MapGet("/{id}", ReadFineTuningJobs.Get).Answers<FineTuningJob>(404);
        jobs.MapPost("/{id}/cancel", ChangeFineTuningJob.Cancel).Answers<FineTuningJob>(404, 409);
        jobs.MapPost("/{id}/pause", ChangeFineTuningJob.Pause).Answers<FineTuningJob>(404, 409);
        jobs.MapPost("/{id}/resume", ChangeFineTuningJob.Resume).Answers<FineTuningJob>(404, 409);
        jobs.MapGet("/{id}/events", ReadFineTuningEvents.Handle).Answers<OpenAiList<FineTuningEvent>>(400, 404);
        jobs.MapGet("/{id}/checkpoints", ReadFineTuningCheckpoints.Handle).Answers<OpenAiPage<FineTuningCheckpoint>>(400, 404);

        var models = openAi.MapGroup("/models");
        models.MapGet("/", ReadModels.List).RequireScope(Scope.ModelsRead).Answers<OpenAiModelList>();
        models.MapGet("/{**model}", ReadModels.Get).RequireScope(Scope.ModelsRead).Answers<OpenAiModel>(404);
        models.MapDelete("/{**model}", DeleteModel.Handle).RequireScope("jobs:write").Answers<OpenAiDeleted>(404, 409);

        openAi.MapPost("/chat/completions", CreateChatCompletion.Handle).RequireScope(Scope.ModelsRead).Accepts<ChatCompletionRequest>("application/json")
            .Produces<ChatCompletion>(StatusCodes.Status200OK, "application/json", EventStream.MediaType).Fails(400, 404, 503);
        openAi.MapPost("/completions", CreateCompletion.Handle).RequireScope(Scope.ModelsRead).Accepts<CompletionRequest>("application/json")
            .Produces<TextCompletion>(StatusCodes.Status200OK, "application/json", EventStream.MediaType).Fails(400, 404, 503);
    }

    private static OpenApi.FileUpload Form(string part) => part == "file"
        ? new("Rows; the name ends in .jsonl, .csv or .tsv.", "What it is for: fine-tune.", "fine-tune", "file", "purpose")
        : new("The part's bytes.", null, null, part, null);

    /// <summary>Tells the OpenAPI document the one success, and the errors.</summary>
    private static void Answers<T>(this RouteHandlerBuilder route, params int[] errors) => route.Produces<T>().Fails(errors);

    private static void Fails(this RouteHandlerBuilder route, params int[] errors)
    {
        foreach (var status in errors)
            route.Produces<OpenAiErrorAnswer>(status);
    }
}
