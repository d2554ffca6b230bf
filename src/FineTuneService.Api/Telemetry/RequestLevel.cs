using Serilog.Events;

namespace FineTuneService.Api.Telemetry;

/// <summary>How loudly a request is logged: hundreds of polls a second, of which the metrics tell enough, would drown what was changed and what failed.</summary>
internal static class RequestLevel
{
    public static LogEventLevel Of(HttpContext context, double milliseconds, Exception? error)
    {
        var (status, method) = (context.Response.StatusCode, context.Request.Method);
        return error is not null || status >= 500 ? LogEventLevel.Error
            : status < 400 && (HttpMethods.IsGet(method) || HttpMethods.IsHead(method)) ? LogEventLevel.Debug
            : LogEventLevel.Information;
    }
}
