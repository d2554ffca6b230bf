using System.Data.Common;
using System.Diagnostics;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Access;

/// <summary>Writes down who asked for which change, and whether it was done.</summary>
internal sealed class AuditTrail(RequestDelegate next, IDbContextFactory<FineTuneDb> databases, TimeProvider clock, ILogger<AuditTrail> log)
{
    public async Task InvokeAsync(HttpContext context)
    {
        await next(context);
        var request = context.Request;
        if (HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method) || context.User.Identity?.IsAuthenticated != true
            || context.GetEndpoint() is not RouteEndpoint endpoint || endpoint.Metadata.GetMetadata<RequiredScope>() is not { } needed || needed.Scope == Scope.ModelsRead)
            return;
        try
        {
            await Write(context, endpoint);
        }
        catch (Exception error) when (error.GetBaseException() is DbException)
        {
            // The answer is on its way; it cannot be taken back.
            log.LogError(error, "{Method} {Path} by {Caller} is missing in the audit log", request.Method, request.Path, context.User.CallerName());
        }
    }

    private async Task Write(HttpContext context, RouteEndpoint endpoint)
    {
        var request = context.Request;
        await using var db = await databases.CreateDbContextAsync();
        db.Audit.Add(new()
        {
            Time = clock.GetUtcNow(),
            ProjectId = Caller.NamedProject(context) ?? Caller.OwnProject(context.User),
            Caller = context.User.CallerName(),
            Method = request.Method,
            Route = endpoint.RoutePattern.RawText ?? "",
            Path = request.Path.Value!.Length > 1024 ? request.Path.Value[..1024] : request.Path.Value,
            Status = context.Response.StatusCode,
            Address = context.Connection.RemoteIpAddress?.ToString(),
            TraceId = Activity.Current?.TraceId.ToHexString() ?? context.TraceIdentifier,
        });
        await db.SaveChangesAsync(CancellationToken.None);
    }
}
