using System.Diagnostics;

namespace FineTuneService.Api.OpenAi;

/// <summary>Headers that OpenAI's clients read: the request's id for their errors, and whether a conflict passes by asking again, which they would do twice.</summary>
internal sealed class OpenAiHeaders(RequestDelegate next)
{
    public Task InvokeAsync(HttpContext context)
    {
        if (OpenAiError.IsFor(context))
            context.Response.OnStarting(() =>
            {
                context.Response.Headers["x-request-id"] = Activity.Current?.TraceId.ToHexString() ?? context.TraceIdentifier;
                if (context.Response.StatusCode == StatusCodes.Status409Conflict)
                    context.Response.Headers["x-should-retry"] = context.Response.Headers.RetryAfter.Count > 0 ? "true" : "false";
                return Task.CompletedTask;
            });
        return next(context);
    }
}
