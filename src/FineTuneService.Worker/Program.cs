using FineTuneService.Hub;
using FineTuneService.Storage;
using FineTuneService.Storage.Telemetry;
using FineTuneService.Worker;
using FineTuneService.Worker.Sinks;
using Hangfire;
using Microsoft.Extensions.Options;

var builder = WebApplication.CreateBuilder(args);

builder.AddFineTuneLog();
await builder.AddFineTuneStorage();
builder.AddFineTuneTelemetry("finetune-worker", WorkerMetrics.Meter, tracesQueries: false);
builder.Services.Configure<WorkerSettings>(builder.Configuration.GetSection("Worker"));
builder.Services
    .AddSingleton(services => HubSettings.From(builder.Configuration, builder.Environment.ContentRootPath, services.GetRequiredService<StorageSettings>().DataDirectory))
    .AddSingleton<ModelHub>();
builder.Services.AddSingleton<WorkerMetrics>();
builder.Services.AddSingleton(services => new WorkerSilence(services.GetRequiredService<IOptions<WorkerSettings>>().Value.HeartbeatLease, services.GetRequiredService<TimeProvider>()));
builder.Services.AddSingleton<RunJobCall, RunJob>();
builder.Services.AddHostedService<TellOfWorker>(); // Before Hangfire: services stop in the reverse order, and it has something to tell until the last run has ended.
builder.Services.AddHangfireServer((services, hangfire) =>
{
    var worker = builder.Configuration.GetSection("Worker").Get<WorkerSettings>() ?? new();
    hangfire.WorkerCount = worker.Slots;
    hangfire.Queues = [.. worker.Capabilities, JobQueue.QueueFor(null)];
    hangfire.CancellationCheckInterval = TimeSpan.FromSeconds(1);
    hangfire.SchedulePollingInterval = TimeSpan.FromSeconds(1);
    hangfire.ShutdownTimeout = worker.StopPatience;
});
builder.Services.AddHostedService<RescueOrphans>();
builder.Services.AddHostedService<AdvanceSweeps>();
if (builder.Configuration.GetSection("Sinks").Get<SinkSettings>()?.Mlflow is { } mlflow)
    builder.Services.AddSingleton(mlflow).AddHttpClient(ReportToMlflow.Name).Services.AddHostedService<ReportToMlflow>();
builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromMinutes(3));
builder.Services.AddHealthChecks();

var app = builder.Build();
app.Services.GetRequiredService<TrainerLocation>(); // A worker without a trainer says so at once.
app.MapHealthChecks("/health/live");
app.MapHealthChecks("/health/ready");
app.MapFineTuneMetrics();
app.Run();
