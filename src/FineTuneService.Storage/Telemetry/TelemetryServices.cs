using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Npgsql;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;
using Serilog;
using Serilog.Formatting.Compact;

namespace FineTuneService.Storage.Telemetry;

/// <summary>What both hosts tell those who operate them: logs, traces, metrics. None of it holds people's texts, or secrets.</summary>
public static class TelemetryServices
{
    private const string MetricsPath = "/metrics", HealthPath = "/health";

    /// <summary>The version of this build, such as <c>1.0.0+3f2a…</c>.</summary>
    public static string Version { get; } = typeof(TelemetryServices).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion;

    /// <summary>Lines for people on the console; for machines where <c>Log:Format</c> is <c>json</c>, with the job's id as a member of each line of a run.</summary>
    public static void AddFineTuneLog(this WebApplicationBuilder builder) => builder.Host.UseSerilog((context, log) =>
    {
        log.ReadFrom.Configuration(context.Configuration);
        if (context.Configuration["Log:Format"] == "json")
            log.WriteTo.Console(new RenderedCompactJsonFormatter());
        else
            log.WriteTo.Console(formatProvider: CultureInfo.InvariantCulture);
    });

    /// <summary>Metrics for Prometheus, and traces by OTLP where <c>OTEL_EXPORTER_OTLP_ENDPOINT</c> names a collector.</summary>
    /// <param name="service">Such as <c>finetune-api</c>; <c>OTEL_SERVICE_NAME</c> overrules it.</param>
    /// <param name="meter">Of the host's own instruments.</param>
    /// <param name="tracesQueries">Whether each query is a span: a run would have one for each heartbeat.</param>
    public static void AddFineTuneTelemetry(this IHostApplicationBuilder builder, string service, string meter, bool tracesQueries)
    {
        var telemetry = builder.Services.AddOpenTelemetry()
            .ConfigureResource(resource => resource.AddService(service, serviceVersion: Version, serviceInstanceId: $"{Environment.MachineName}:{Environment.ProcessId}").AddEnvironmentVariableDetector())
            .WithMetrics(metrics => metrics.AddMeter(meter).AddAspNetCoreInstrumentation().AddHttpClientInstrumentation().AddPrometheusExporter());
        if (builder.Configuration["OTEL_EXPORTER_OTLP_ENDPOINT"] is null)
            return;
        telemetry.WithTracing(traces => (tracesQueries ? traces.AddNpgsql() : traces)
            .SetSampler(new ParentBasedSampler(new NoLonelyCalls()))
            .AddSource(JobTrace.SourceName)
            .AddAspNetCoreInstrumentation(http => http.Filter = request => !request.Request.Path.StartsWithSegments(MetricsPath) && !request.Request.Path.StartsWithSegments(HealthPath))
            .AddHttpClientInstrumentation()
            .AddOtlpExporter());
    }

    /// <summary>The host's metrics as Prometheus reads them.</summary>
    public static IEndpointConventionBuilder MapFineTuneMetrics(this IEndpointRouteBuilder routes) => routes.MapPrometheusScrapingEndpoint(MetricsPath).ExcludeFromDescription();

    /// <summary>Leaves out what hosts ask of others by themselves, from time to time: requests and jobs begin the traces.</summary>
    private sealed class NoLonelyCalls : Sampler
    {
        public override SamplingResult ShouldSample(in SamplingParameters samplingParameters) =>
            new(samplingParameters.Kind == ActivityKind.Client ? SamplingDecision.Drop : SamplingDecision.RecordAndSample);
    }
}
