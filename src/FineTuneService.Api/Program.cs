using FineTuneService.Api.Access;
using FineTuneService.Api.BaseModels;
using FineTuneService.Api.Checkpoints;
using FineTuneService.Api.Connections;
using FineTuneService.Api.Dashboard;
using FineTuneService.Api.Datasets;
using FineTuneService.Api.Exports;
using FineTuneService.Api.Generations;
using FineTuneService.Api.Health;
using FineTuneService.Api.Idempotency;
using FineTuneService.Api.Jobs;
using FineTuneService.Api.OpenAi;
using FineTuneService.Api.OpenApi;
using FineTuneService.Api.Predictions;
using FineTuneService.Api.Preparations;
using FineTuneService.Api.Problems;
using FineTuneService.Api.Projects;
using FineTuneService.Api.Reports;
using FineTuneService.Api.Retention;
using FineTuneService.Api.Sweeps;
using FineTuneService.Api.Telemetry;
using FineTuneService.Api.WarmModels;
using FineTuneService.Api.Webhooks;
using FineTuneService.Api.Workers;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Telemetry;
using FineTuneService.Training;
using Hangfire;
using Serilog;

// Hangfire's storage waits for the database on the thread that asks; by default the pool adds a thread only every half second when all are waiting.
ThreadPool.SetMinThreads(32, 32);

var builder = WebApplication.CreateBuilder(args);

builder.AddFineTuneLog();
builder.Services.ConfigureHttpJsonOptions(json =>
{
    SnakeCaseJson.Configure(json.SerializerOptions);
    Catalog.Configure(json.SerializerOptions);
});
builder.Services.Configure<RouteHandlerOptions>(routes => routes.ThrowOnBadRequest = true); // ProblemMiddleware tells more than a bare 400.
if (args is ["migrate"])
{
    await builder.MigrateFineTuneStorage();
    return;
}
builder.AddConnectionLimits();
await builder.AddFineTuneStorage();
builder.Services.AddAccess(builder.Configuration);
builder.AddFineTuneTelemetry("finetune-api", ApiMetrics.Meter, tracesQueries: true);
builder.Services.AddHostedService<ApiMetrics>();
builder.Services.AddDatasets();
builder.Services.AddPreparations();
builder.Services.AddBaseModels(builder.Configuration, builder.Environment.ContentRootPath);
builder.Services.AddWarmModels();
builder.Services.AddJobs();
builder.Services.AddReports();
builder.Services.AddRetention();
builder.Services.AddWebhooks();
builder.Services.AddOpenAi();
builder.Services.AddOpenApiDocument();
builder.Services.AddDashboard();

var app = builder.Build();

DatasetDraft.Sweep(app.Services.GetRequiredService<StorageSettings>(), TimeProvider.System);
BaseModelDraft.Sweep(app.Services.GetRequiredService<StorageSettings>(), TimeProvider.System);
await BootstrapKey.Ensure(app.Services);

app.UseSerilogRequestLogging(requests => requests.GetLevel = RequestLevel.Of);
app.UseMiddleware<AuditTrail>();
app.UseMiddleware<OpenAiHeaders>();
app.UseMiddleware<ProblemMiddleware>();
app.UseDashboard();
app.UseSwagger();
app.UseSwaggerUI();
app.UseAuthentication();
app.UseRateLimiter();
app.UseAuthorization();
app.UseMiddleware<IdempotencyMiddleware>();

app.MapSessions();
app.MapDatasets();
app.MapPreparations();
app.MapJobs();
app.MapSweeps();
app.MapExports();
app.MapCheckpoints();
app.MapPredictions();
app.MapReports();
app.MapGenerations();
app.MapBaseModels();
app.MapOpenAi();
app.MapProjects();
app.MapWorkers();
app.MapWebhooks();
app.MapHealth();
app.MapFineTuneMetrics().ForScrapers(app.Services);
app.MapHangfireDashboard("/hangfire", new DashboardOptions { Authorization = [] }).RequireScope(Scope.Admin);

await app.RunAsync();
