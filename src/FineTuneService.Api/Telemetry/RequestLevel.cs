using Serilog.Events;

namespace FineTuneService.Api.Telemetry;

/// <summary>How loudly a request is logged: hundreds of polls a second, of which the metrics tell enough, would drown what was changed and what failed.</summary>
internal static class RequestLevel
{
    public static LogEventLevel Of(HttpContext context, double milliseconds, Exception? error) => context.Response.StatusCode switch
    {
        _ when error is not null => LogEventLevel.Error,
        >= 500 => LogEventLevel.Error,
        < 400 when HttpMethods.IsGet(context.Request.Method) || HttpMethods.IsHead(context.Request.Method) => LogEventLevel.Debug,
        _ => LogEventLevel.Information,
    };
}
