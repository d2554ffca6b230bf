using Microsoft.Extensions.FileProviders;
using Microsoft.Net.Http.Headers;

namespace FineTuneService.Api.Dashboard;

/// <summary>The pages at <c>/</c>: files that Vite made of <c>src/FineTuneService.Dashboard</c>. Whoever has no key sees only where to enter one.</summary>
public static class DashboardPages
{
    /// <summary>Nothing from elsewhere, nothing inline but styles, which the charts set, and nobody's frame.</summary>
    private const string Policy = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

    public static IServiceCollection AddDashboard(this IServiceCollection services) =>
        services.AddResponseCompression(options => (options.MimeTypes, options.EnableForHttps) = (["text/html", "text/css", "text/javascript", "image/svg+xml"], true)); // None of them holds a secret.

    public static void UseDashboard(this WebApplication app)
    {
        var folder = Path.Combine(AppContext.BaseDirectory, "dashboard");
        app.UseWhen(context => HttpMethods.IsGet(context.Request.Method) || HttpMethods.IsHead(context.Request.Method), pages => pages
            .UseResponseCompression()
            .UseFileServer(new FileServerOptions
            {
                FileProvider = new PhysicalFileProvider(folder),
                StaticFileOptions = { OnPrepareResponse = prepared => Mark(prepared.Context) },
            }));
    }

    private static void Mark(HttpContext context)
    {
        var headers = context.Response.Headers;
        (headers.ContentSecurityPolicy, headers.XContentTypeOptions, headers["Referrer-Policy"]) = (Policy, "nosniff", "no-referrer");
        // The names of assets change with what is in them.
        headers[HeaderNames.CacheControl] = context.Request.Path.StartsWithSegments("/assets") ? "public, max-age=31536000, immutable" : "no-cache";
    }
}
